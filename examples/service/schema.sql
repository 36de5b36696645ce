-- The service's tables, in the columns of the metric catalogue. All times are UTC.
-- Full row images in the binlog (binlog_format = ROW, binlog_row_image = FULL) are needed for events.

CREATE TABLE IF NOT EXISTS ticket (
  id BIGINT NOT NULL,
  queue_id INT NOT NULL,
  channel VARCHAR(16) NOT NULL,
  priority TINYINT NOT NULL,
  customer_id BIGINT NOT NULL,
  assignee_id BIGINT NULL,
  status VARCHAR(16) NOT NULL,
  created_at DATETIME(3) NOT NULL,
  assigned_at DATETIME(3) NULL,
  first_reply_at DATETIME(3) NULL,
  solved_at DATETIME(3) NULL,
  closed_at DATETIME(3) NULL,
  reopen_count INT NOT NULL DEFAULT 0,
  reply_count INT NOT NULL DEFAULT 0,
  escalated TINYINT NOT NULL DEFAULT 0,
  first_reply_due_at DATETIME(3) NULL,
  resolve_due_at DATETIME(3) NULL,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS call_record (
  id BIGINT NOT NULL,
  queue_id INT NOT NULL,
  direction VARCHAR(16) NOT NULL,
  customer_id BIGINT NOT NULL,
  agent_id BIGINT NULL,
  status VARCHAR(16) NOT NULL,
  started_at DATETIME(3) NOT NULL,
  queued_at DATETIME(3) NULL,
  answered_at DATETIME(3) NULL,
  ended_at DATETIME(3) NULL,
  wrapup_ended_at DATETIME(3) NULL,
  talk_seconds INT NOT NULL DEFAULT 0,
  hold_seconds INT NOT NULL DEFAULT 0,
  hold_count INT NOT NULL DEFAULT 0,
  missed_count INT NOT NULL DEFAULT 0,
  transferred_in TINYINT NOT NULL DEFAULT 0,
  transferred_out TINYINT NOT NULL DEFAULT 0,
  ended_by VARCHAR(16) NULL,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- Calls: one row for each queue that a caller comes to.
-- All times are UTC. Events need full row images in the binlog (binlog_format = ROW, binlog_row_image = FULL).

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
  PRIMARY KEY (id),
  KEY waiting (status, queue_id, queued_at),
  KEY by_customer (customer_id, started_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- Tickets: one row each, from its creation on.
-- All times are UTC. Events need full row images in the binlog (binlog_format = ROW, binlog_row_image = FULL).

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
  PRIMARY KEY (id),
  KEY backlog (status, queue_id, priority),
  KEY load_of_assignee (assignee_id, status),
  KEY due (status, resolve_due_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- IM sessions: begun by a bot, perhaps queued for an agent.
-- All times are UTC. Events need full row images in the binlog (binlog_format = ROW, binlog_row_image = FULL).

CREATE TABLE IF NOT EXISTS im_session (
  id BIGINT NOT NULL,
  queue_id INT NOT NULL,
  channel VARCHAR(16) NOT NULL,
  customer_id BIGINT NOT NULL,
  agent_id BIGINT NULL,
  status VARCHAR(16) NOT NULL,
  created_at DATETIME(3) NOT NULL,
  queued_at DATETIME(3) NULL,
  assigned_at DATETIME(3) NULL,
  first_reply_at DATETIME(3) NULL,
  last_customer_message_at DATETIME(3) NULL,
  last_agent_message_at DATETIME(3) NULL,
  closed_at DATETIME(3) NULL,
  customer_messages INT NOT NULL DEFAULT 0,
  agent_messages INT NOT NULL DEFAULT 0,
  reply_wait_seconds INT NOT NULL DEFAULT 0,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (id),
  KEY waiting (status, queue_id, queued_at),
  KEY of_agent (status, agent_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

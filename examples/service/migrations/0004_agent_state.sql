-- What each agent does now: one row an agent.
-- All times are UTC. Events need full row images in the binlog (binlog_format = ROW, binlog_row_image = FULL).

CREATE TABLE IF NOT EXISTS agent_state (
  agent_id BIGINT NOT NULL,
  queue_id INT NOT NULL,
  state VARCHAR(16) NOT NULL,
  since DATETIME(3) NOT NULL,
  slots INT NOT NULL,
  slots_used INT NOT NULL DEFAULT 0,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (agent_id),
  KEY by_state (state, queue_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

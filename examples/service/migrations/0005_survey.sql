-- Questions to customers about a ticket, a call or an IM session that has ended.
-- All times are UTC. Events need full row images in the binlog (binlog_format = ROW, binlog_row_image = FULL).

CREATE TABLE IF NOT EXISTS survey (
  id BIGINT NOT NULL,
  subject VARCHAR(16) NOT NULL,
  subject_id BIGINT NOT NULL,
  queue_id INT NOT NULL,
  agent_id BIGINT NULL,
  sent_at DATETIME(3) NOT NULL,
  score TINYINT NULL,
  resolved TINYINT NULL,
  rated_at DATETIME(3) NULL,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (id),
  KEY by_subject (subject, subject_id),
  KEY by_time (queue_id, sent_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- Names: looked up, never counted.
-- All times are UTC. Events need full row images in the binlog (binlog_format = ROW, binlog_row_image = FULL).

CREATE TABLE IF NOT EXISTS agent (
  id BIGINT NOT NULL,
  name VARCHAR(64) NOT NULL,
  team_id INT NOT NULL,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (id),
  KEY by_team (team_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE IF NOT EXISTS queue (
  id INT NOT NULL,
  name VARCHAR(64) NOT NULL,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

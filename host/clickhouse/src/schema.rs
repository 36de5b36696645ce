//! Creates what is missing, refuses what differs.

use crate::ClickHouse;
use crate::error;
use crate::sql;
use crate::tables::{self, ALL, AUDIT, EPOCHS, Found, LATEST, PROMOTED, REALTIME, Table};
use crate::views::{metric_of, views};
use clickhouse::Row;
use serde::Deserialize;
use weir_types::contract::MetricInfo;
use weir_types::ports::SinkError;

#[derive(Row, Deserialize)]
struct FoundTable {
    name: String,
    engine: String,
    engine_full: String,
    partition_key: String,
    sorting_key: String,
}

#[derive(Row, Deserialize)]
struct Standing {
    engine: String,
    comment: String,
}

#[derive(Row, Deserialize)]
struct FoundColumn {
    table: String,
    name: String,
    r#type: String,
}

/// What the database holds.
struct Present {
    tables: Vec<FoundTable>,
    columns: Vec<FoundColumn>,
}

impl Present {
    fn table(&self, name: &str) -> Option<Found> {
        let table = self.tables.iter().find(|t| t.name == name)?;
        let columns = self.columns.iter().filter(|c| c.table == name);
        Some(Found {
            engine: table.engine.clone(),
            engine_full: table.engine_full.clone(),
            partition: table.partition_key.clone(),
            sorting: table.sorting_key.clone(),
            columns: columns.map(|c| (c.name.clone(), c.r#type.clone())).collect(),
        })
    }
}

impl ClickHouse {
    async fn execute(&self, what: &str, statement: &str) -> Result<(), SinkError> {
        self.within(what, self.client.query_raw(statement).execute()).await
    }

    async fn present(&self) -> Result<Present, SinkError> {
        let tables = self
            .client
            .query(
                "SELECT name, engine, engine_full, partition_key, sorting_key FROM system.tables \
                 WHERE database = ? ORDER BY name",
            )
            .bind(&self.database);
        let columns = self
            .client
            .query(
                "SELECT `table`, name, type FROM system.columns WHERE database = ? ORDER BY `table`, position",
            )
            .bind(&self.database);
        Ok(Present {
            tables: self.within("reading system.tables", tables.fetch_all()).await?,
            columns: self.within("reading system.columns", columns.fetch_all()).await?,
        })
    }

    fn refuse_different(&self, table: &Table, found: &Found) -> Result<(), SinkError> {
        match table.difference(found) {
            None => Ok(()),
            Some(difference) => Err(SinkError::Fatal(format!(
                "ClickHouse at {}: table {}.{} is not as Weir needs it: {difference}; rename or drop it, or \
                 set another database in [clickhouse]",
                self.target.url, self.database, table.name
            ))),
        }
    }

    pub(crate) async fn check_tables(&self) -> Result<String, SinkError> {
        let version: String =
            self.within("asking its version", self.client.query("SELECT version()").fetch_one()).await?;
        let present = self.present().await?;
        let mut missing = Vec::new();
        for table in ALL {
            match present.table(table.name) {
                Some(found) => self.refuse_different(table, &found)?,
                None => missing.push(table.name),
            }
        }
        let tables = match missing.len() {
            0 => "tables are as they should be".to_string(),
            n if n == ALL.len() => "no tables yet: they are made at the start".to_string(),
            _ => format!("missing tables are made at the start: {}", missing.join(", ")),
        };
        Ok(format!("{} {version}, database {}: {tables}", self.target.url, self.database))
    }

    pub(crate) async fn prepare_tables(&self) -> Result<(), SinkError> {
        let count =
            self.client.query("SELECT count() FROM system.databases WHERE name = ?").bind(&self.database);
        let databases: u64 = self.within("reading system.databases", count.fetch_one()).await?;
        // Asked first, for a user who may use the database but not make one.
        if databases == 0 {
            let create = format!("CREATE DATABASE IF NOT EXISTS {}", sql::name(&self.database));
            self.execute("making the database", &create).await?;
        }
        let present = self.present().await?;
        // All are compared before any is made: a refusal changes nothing.
        for table in ALL {
            if let Some(found) = present.table(table.name) {
                self.refuse_different(table, &found)?;
            }
        }
        for table in ALL {
            let ttl = if table.name == REALTIME.name { tables::ttl(&self.retention) } else { String::new() };
            match present.table(table.name) {
                None => {
                    let what = format!("making the table {}", table.name);
                    self.execute(&what, &table.create(&self.database, &ttl)).await?;
                }
                Some(found) => {
                    let changes = [
                        table.make_durable(&self.database, &found),
                        table.change_ttl(&self.database, &found, &ttl),
                    ];
                    for change in changes.into_iter().flatten() {
                        tracing::info!(table = table.name, %change, "settings of a table changed");
                        self.execute(&format!("changing the table {}", table.name), &change).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Greatest version in `epochs`, and in `audit`, where a host has said that it takes rows back which may have
    /// died before its first insert; 0 if there is none, or no table. Earlier hosts said so in the rows alone.
    pub(crate) async fn greatest_version(&self) -> Result<u64, SinkError> {
        let of = |table: &Table, rows: &str| {
            format!("SELECT max(version) AS greatest FROM {} {rows}", table.qualified(&self.database))
        };
        let all = [
            of(&EPOCHS, ""),
            of(&AUDIT, ""),
            of(&REALTIME, "WHERE deleted"),
            of(&LATEST, "WHERE deleted"),
            of(&PROMOTED, "WHERE retired"),
        ];
        let statement = format!("SELECT max(greatest) FROM ({})", all.join(" UNION ALL "));
        let what = "reading the greatest generation";
        let call = async {
            match self.client.query_raw(&statement).fetch_one::<u64>().await {
                Err(error) if error::is_absent(&error) => Ok(0),
                other => other,
            }
        };
        self.within(what, call).await
    }

    /// What stands under the name of a view.
    async fn standing(&self, name: &str) -> Result<Option<Standing>, SinkError> {
        let found = self
            .client
            .query("SELECT engine, comment FROM system.tables WHERE database = ? AND name = ?")
            .bind(&self.database)
            .bind(name);
        self.within("reading system.tables", found.fetch_optional()).await
    }

    /// Makes the views of a metric that are missing or defined in another way. To make them all at each start would
    /// keep rows waiting for seconds.
    pub(crate) async fn prepare_views(&self, info: &MetricInfo) -> Result<(), SinkError> {
        for view in views(&self.database, info) {
            if let Some(found) = self.standing(&view.name).await? {
                if found.engine == "View" && found.comment == view.comment {
                    continue;
                }
                if found.engine != "View" {
                    return Err(SinkError::Fatal(format!(
                        "ClickHouse at {}: {}.{} is in the way of the view of metric {}: it is a {} table; rename or \
                         drop it",
                        self.target.url, self.database, view.name, info.name, found.engine
                    )));
                }
                let of_other = metric_of(&found.comment).filter(|metric| *metric != info.name);
                if let Some(other) = of_other {
                    tracing::warn!(view = %view.name, metric = %info.name, %other, "two metrics share a view's name; the newer has it");
                }
            }
            self.execute(&format!("making the view {}", view.name), &view.create).await?;
        }
        Ok(())
    }
}

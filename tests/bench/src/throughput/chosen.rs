//! Some of the shipped metrics, or more than there are.

use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::contract::{DerivedInstance, GuestError, MetricFactory, MetricInfo, MetricInstance};
use weir_types::ports::Loader;
use weir_types::schema::SourceDecl;

/// The metrics of the first milestone.
const FOUR: [&str; 4] = ["ticket.created", "ticket.backlog", "ticket.first_reply_time", "call.offered"];

/// Metrics by name, each in so many copies.
pub type Metrics = BTreeMap<String, usize>;

/// What a set is called on the command line: `four`, `all`, or a number of metrics: board by board in turn,
/// and beyond all of them in copies.
pub fn set(name: &str, described: &[Arc<dyn MetricFactory>]) -> Result<Metrics> {
    let once = |names: Vec<&str>| names.into_iter().map(|n| (n.to_string(), 1)).collect();
    let all = in_turn(described);
    Ok(match name {
        "four" => once(FOUR.to_vec()),
        "all" => once(all),
        number => {
            let Ok(count) = number.parse::<usize>() else {
                bail!("there is no set {name}: name four, all, or a number of metrics")
            };
            // A derived metric may need any of the others: only with all of them is it there, and once.
            let over_rows: Vec<_> = described.iter().filter(|f| !f.info().is_derived()).cloned().collect();
            let few = in_turn(&over_rows);
            let mut metrics = if count < all.len() { Metrics::new() } else { once(all) };
            for metric in few.iter().cycle().take(count - metrics.len()) {
                *metrics.entry(metric.to_string()).or_default() += 1;
            }
            metrics
        }
    })
}

/// One metric of each board, then the next of each.
fn in_turn(described: &[Arc<dyn MetricFactory>]) -> Vec<&str> {
    let mut boards: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for factory in described {
        boards.entry(factory.info().board()).or_default().push(&factory.info().name);
    }
    let longest = boards.values().map(Vec::len).max().unwrap_or_default();
    (0..longest).flat_map(|nth| boards.values().filter_map(move |names| names.get(nth).copied())).collect()
}

/// Gives of another loader's metrics those that were chosen.
pub struct Chosen<'a> {
    pub loader: &'a dyn Loader,
    pub metrics: &'a Metrics,
}

impl Chosen<'_> {
    fn of(&self, all: Vec<Arc<dyn MetricFactory>>) -> Vec<Arc<dyn MetricFactory>> {
        let copies = |factory: Arc<dyn MetricFactory>| {
            let count = self.metrics.get(&factory.info().name).copied().unwrap_or_default();
            (0..count).map(move |nth| match nth {
                0 => factory.clone(),
                nth => Arc::new(Copied::new(factory.clone(), nth)) as Arc<dyn MetricFactory>,
            })
        };
        all.into_iter().flat_map(copies).collect()
    }
}

impl Loader for Chosen<'_> {
    fn load(
        &self,
        origin: &str,
        bytes: &[u8],
        sources: &[Arc<SourceDecl>],
    ) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        self.loader.load(origin, bytes, sources).map(|all| self.of(all))
    }
    fn reload(&self, origin: &str, bytes: &[u8]) -> Result<Vec<Arc<dyn MetricFactory>>, String> {
        self.loader.reload(origin, bytes).map(|all| self.of(all))
    }
}

/// The same metric under another name.
struct Copied {
    of: Arc<dyn MetricFactory>,
    info: MetricInfo,
}

impl Copied {
    fn new(of: Arc<dyn MetricFactory>, nth: usize) -> Copied {
        let name = format!("{}_{nth}", of.info().name);
        Copied { info: MetricInfo { name, ..of.info().clone() }, of }
    }
}

impl MetricFactory for Copied {
    fn info(&self) -> &MetricInfo {
        &self.info
    }
    fn digest(&self) -> &str {
        self.of.digest()
    }
    fn open(&self) -> Result<Box<dyn MetricInstance>, GuestError> {
        self.of.open()
    }
    fn open_derived(&self) -> Result<Box<dyn DerivedInstance>, GuestError> {
        self.of.open_derived()
    }
}

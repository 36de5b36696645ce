//! What all metrics of a shard use together.

use crate::keys::{KeySpace, Texts};
use crate::plan::{DimensionFrom, Plan};
use rustc_hash::FxHashMap;
use weir_types::record::TopicPartition;
use weir_types::window::Calendar;

/// Texts, key spaces, the calendar and the list of partitions.
#[derive(Debug)]
pub struct Shared {
    pub texts: Texts,
    pub spaces: Vec<KeySpace>,
    by_columns: FxHashMap<(usize, Vec<usize>), usize>,
    pub calendar: Calendar,
    /// By the index that records and rows carry.
    pub partitions: Vec<TopicPartition>,
}

impl Shared {
    pub fn new(calendar: Calendar) -> Shared {
        Shared {
            texts: Texts::default(),
            spaces: Vec::new(),
            by_columns: FxHashMap::default(),
            calendar,
            partitions: Vec::new(),
        }
    }

    /// The key space for a plan's dimensions: shared by all metrics whose dimensions are the same
    /// columns of the same source, else one of its own.
    pub fn space_for(&mut self, plan: &Plan) -> usize {
        let columns = match plan.inputs.as_slice() {
            [input] => columns_only(&input.dimensions).map(|columns| (input.source, columns)),
            _ => None,
        };
        let Some(identity) = columns else { return self.add(plan) };
        if let Some(space) = self.by_columns.get(&identity) {
            return *space;
        }
        let space = self.add(plan);
        self.by_columns.insert(identity, space);
        space
    }

    fn add(&mut self, plan: &Plan) -> usize {
        self.spaces.push(KeySpace::new(plan.dimension_types.clone()));
        self.spaces.len() - 1
    }
}

/// The columns, if no dimension is computed.
pub fn columns_only(dimensions: &[DimensionFrom]) -> Option<Vec<usize>> {
    let column = |d: &DimensionFrom| match d {
        DimensionFrom::Column(column) => Some(*column),
        DimensionFrom::Computed(_) => None,
    };
    dimensions.iter().map(column).collect()
}

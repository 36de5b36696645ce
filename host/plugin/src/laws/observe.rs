//! Laws of `observe` and `observe-image`: pure functions of their rows.

use super::input::{self, Row};
use super::plain::{Entry, Scalar, Seen, same_seen, seen};
use super::{Broken, failed};
use weir_types::contract::{GuestError, Input, MetricFactory, MetricInfo, MetricInstance};
use weir_types::schema::SourceDecl;

const WATCH: &str = "an update in which no watched field changed gives no sample";
const PURE: &str = "observe is a pure function of its rows";
const SPLIT: &str = "any split of the rows over calls gives the same samples";
const IMAGE: &str = "observe-image is a pure function of each image";
const REPEATABLE: &str = "two instances give the same bytes";

/// Checks one input, and gives the samples that its sample rows made.
pub fn check(factory: &dyn MetricFactory, at: usize, source: &SourceDecl) -> Result<Vec<Entry>, Broken> {
    let info = factory.info();
    let input = &info.inputs[at];
    let mut shown = Shown { info, input, at: at as u32 };
    let (mut one, mut two) = (open(factory)?, open(factory)?);
    let all = if info.is_now() {
        shown.images(&mut *one, &mut *two, &input::images(input, source, 5))?
    } else {
        let all = shown.changes(&mut *one, &mut *two, &input::changes(input, source, 5))?;
        if let Some(rows) = input::unwatched(input, source, 7) {
            let given = shown.observe(&mut *one, &rows, 0)?;
            if let Some(first) = given.iter().find(|s| matches!(s, Seen::Sample { .. })) {
                let watched = input.watches.join(", ");
                return Err(Broken::law(
                    WATCH,
                    format!("{first}, though none of {watched} changed: watch what it depends on"),
                ));
            }
        }
        all
    };
    Ok(all.into_iter().filter_map(entry).collect())
}

/// What of a sample reaches `accumulate`; nothing without a time.
fn entry(seen: Seen) -> Option<Entry> {
    match seen {
        Seen::Sample { entry, has_time: true, .. } => Some(entry),
        _ => None,
    }
}

fn open(factory: &dyn MetricFactory) -> Result<Box<dyn MetricInstance>, Broken> {
    factory.open().map_err(failed("open"))
}

struct Shown<'a> {
    info: &'a MetricInfo,
    input: &'a Input,
    at: u32,
}

impl Shown<'_> {
    fn observe(&self, on: &mut dyn MetricInstance, rows: &[Row], first: usize) -> Result<Vec<Seen>, Broken> {
        let samples = on.observe(self.at, &input::pack_changes(self.input, rows));
        Ok(seen(self.info, &samples.map_err(failed("observe"))?, first as u32))
    }

    fn changes(
        &mut self,
        one: &mut dyn MetricInstance,
        two: &mut dyn MetricInstance,
        rows: &[Row],
    ) -> Result<Vec<Seen>, Broken> {
        let packed = input::pack_changes(self.input, rows);
        let (first, other) = (one.observe(self.at, &packed), two.observe(self.at, &packed));
        let (first, other) = (first.map_err(failed("observe"))?, other.map_err(failed("observe"))?);
        let whole = seen(self.info, &first, 0);
        if first != other {
            same_seen(REPEATABLE, &whole, &seen(self.info, &other, 0))?;
            return Err(Broken::law(REPEATABLE, "the same rows are packed in another way".into()));
        }
        same_seen(PURE, &whole, &self.observe(one, rows, 0)?)?;
        // The later part first: what it gives must not depend on the earlier one having been shown.
        let middle = rows.len() / 2;
        let mut split = self.observe(two, &rows[middle..], middle)?;
        split.splice(0..0, self.observe(two, &rows[..middle], 0)?);
        same_seen(SPLIT, &whole, &split)?;
        let mut single = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            single.extend(self.observe(two, std::slice::from_ref(row), at)?);
        }
        same_seen(SPLIT, &whole, &single)?;
        let none = self.observe(one, &[], 0)?;
        same_seen(PURE, &none, &[])?;
        Ok(whole)
    }

    fn images(
        &mut self,
        one: &mut dyn MetricInstance,
        two: &mut dyn MetricInstance,
        images: &[Vec<Scalar>],
    ) -> Result<Vec<Seen>, Broken> {
        let observe = |on: &mut dyn MetricInstance, part: &[Vec<Scalar>], first: usize| {
            let samples = on.observe_image(self.at, &input::pack_images(self.input, part));
            let samples = samples.map_err(|e: GuestError| failed("observe-image")(e))?;
            Ok(seen(self.info, &samples, first as u32))
        };
        let whole = observe(one, images, 0)?;
        same_seen(IMAGE, &whole, &observe(one, images, 0)?)?;
        let middle = images.len() / 3;
        let mut split = observe(two, &images[middle..], middle)?;
        split.splice(0..0, observe(two, &images[..middle], 0)?);
        same_seen(IMAGE, &whole, &split)?;
        let mut single = Vec::new();
        for (at, image) in images.iter().enumerate().rev() {
            single.splice(0..0, observe(two, std::slice::from_ref(image), at)?);
        }
        same_seen(IMAGE, &whole, &single)?;
        Ok(whole)
    }
}

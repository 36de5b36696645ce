//! What customers say: surveys, on the board `team`.

use weir_metric::prelude::*;

/// A question to a customer about a ticket, call or session.
#[derive(Clone, Copy, Debug, Row)]
#[row(source = "survey")]
pub struct Survey {
    pub queue_id: i64,
    pub agent_id: Option<i64>,
    pub sent_at: Time,
    pub score: Option<i64>,
    pub resolved: Option<bool>,
    pub rated_at: Option<Time>,
}

/// Least score of a good rating.
const GOOD: i64 = 4;

/// Ratings, when rated_at becomes set, at rated_at: how many are good (a score of 4 or 5), and the mean score.
#[metric(
    title = "Customer satisfaction",
    owner = "quality",
    board = "team",
    table,
    dims = [queue_id, agent_id],
    watch = [rated_at],
    values = [score],
    accumulator = (
        Named("good", "Ratings with a score of 4 or 5.", CountIf(|v: &Option<i64>| v.is_some_and(|v| v >= GOOD))),
        Named("rated", "Ratings.", Count),
        of_some(|v: &Option<i64>| *v, Named("mean_score", "The mean of the scores, 1 to 5.", Mean)),
    )
)]
pub fn csat(c: &Change<Survey>) -> Option<Sample<Option<i64>>> {
    c.became_some(|s| s.rated_at).map(|(at, s)| Sample::at(at).value(s.score))
}

/// Surveys sent, and those of them that were rated, both at sent_at, however late the rating comes.
#[metric(
    title = "Survey response rate",
    owner = "quality",
    board = "team",
    correct_for = "8d",
    dims = [queue_id],
    watch = [rated_at],
    values = [rated, sent],
    accumulator = (
        of(|v: &(i64, i64)| v.0, Named("rated", "Surveys that were rated.", Tally)),
        of(|v: &(i64, i64)| v.1, Named("sent", "Surveys that were sent.", Tally)),
        Ratio,
    )
)]
pub fn response_rate(c: &Change<Survey>) -> Option<Sample<(i64, i64)>> {
    let survey = c.after()?;
    let sent = i64::from(c.inserted().is_some());
    let rated = i64::from(c.became(|s| s.rated_at.is_some()).is_some());
    (sent + rated > 0).then(|| Sample::at(survey.sent_at).value((rated, sent)))
}

/// Ratings that say whether the matter is settled, when rated_at becomes set, and those that say it is.
#[metric(
    title = "First contact resolution",
    owner = "quality",
    board = "team",
    dims = [queue_id],
    watch = [rated_at],
    values = [resolved],
    accumulator = (
        Named("resolved", "Ratings that say it is settled.", CountIf(|resolved: &bool| *resolved)),
        Named("rated", "Ratings that say whether it is.", Count),
        of(|resolved: &bool| (i64::from(*resolved), 1i64), Ratio),
    )
)]
pub fn resolved_rate(c: &Change<Survey>) -> Option<Sample<bool>> {
    let (at, survey) = c.became_some(|s| s.rated_at)?;
    Some(Sample::at(at).value(survey.resolved?))
}

export_plugin!(Csat, ResponseRate, ResolvedRate);

#[cfg(test)]
mod tests;

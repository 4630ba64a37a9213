//! Reading and writing the rollups of one sweep.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use domain::keys;
use domain::metrics::flush::{Delta, apply};
use domain::metrics::recent::RecentRollups;
use domain::metrics::rollup::Rollup;
use domain::minute::Minute;
use domain::ports::{GetObject, ReplaceObject, Replaced, Version};
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// Objects read at the same time.
pub(crate) const CONCURRENCY: usize = 16;

/// Rollups as they are stored, with the version that a write has to replace.
pub(crate) type Stored = BTreeMap<Minute, (Rollup, Option<Version>)>;

/// Adds the rollups of `minutes` to `stored`, where they are not in it; an empty one for a minute that has none yet.
pub(crate) async fn load(
    bucket: &impl GetObject,
    minutes: impl IntoIterator<Item = Minute>,
    stored: &mut Stored,
) -> anyhow::Result<()> {
    let missing: BTreeSet<Minute> = minutes.into_iter().filter(|minute| !stored.contains_key(minute)).collect();
    let loaded: Vec<_> = stream::iter(missing)
        .map(|minute| async move {
            let stored = match bucket.get(&keys::rollup(minute)).await? {
                None => (Rollup::empty(minute), None),
                Some(stored) => {
                    let rollup = Rollup::parse(&stored.body).with_context(|| format!("rollup of {minute}"))?;
                    (rollup, Some(stored.version))
                }
            };
            anyhow::Ok((minute, stored))
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    stored.extend(loaded);
    Ok(())
}

/// Brings `deltas` into the stored rollups. What an earlier try brought in stays as it is.
pub(crate) async fn merge(
    bucket: &impl ReplaceObject,
    stored: &mut Stored,
    deltas: &BTreeMap<Minute, Delta>,
) -> anyhow::Result<()> {
    let mut changed = Vec::new();
    for (minute, delta) in deltas {
        let Some((rollup, _)) = stored.get_mut(minute) else { bail!("rollup of {minute} was not loaded") };
        if apply(rollup, delta) {
            changed.push(*minute);
        }
    }
    let changed: Vec<(Minute, &(Rollup, Option<Version>))> =
        changed.into_iter().filter_map(|minute| Some((minute, stored.get(&minute)?))).collect();
    let written: Vec<(Minute, Version)> = stream::iter(changed)
        .map(|(minute, (rollup, version))| async move {
            match bucket.replace(&rollup.to_object(), version.as_ref()).await? {
                Replaced::Done(written) => Ok((minute, written)),
                Replaced::Conflict => bail!("rollup of {minute} was changed by somebody else: the next tick goes on"),
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    for (minute, written) in written {
        if let Some((_, version)) = stored.get_mut(&minute) {
            *version = Some(written);
        }
    }
    Ok(())
}

/// Brings the rollups of this sweep into `rollups/recent.json`, in the tick `tick`; with it all is in there that came
/// before, if that `is_complete`.
pub(crate) async fn refresh_recent<B>(
    bucket: &B,
    stored: &Stored,
    tick: Minute,
    is_complete: bool,
) -> anyhow::Result<()>
where
    B: GetObject + ReplaceObject,
{
    let held = bucket.get(keys::RECENT_ROLLUPS).await?;
    let (mut recent, version) = match held {
        None => (RecentRollups::default(), None),
        Some(held) => (RecentRollups::parse(&held.body).context(keys::RECENT_ROLLUPS)?, Some(held.version)),
    };
    for (rollup, _) in stored.values() {
        recent.update(rollup);
    }
    if is_complete {
        recent.flushed(tick);
    }
    // Of old minutes that a backlog brings, too: the evaluator reads all that is in it.
    recent.forget(tick);
    match bucket.replace(&recent.to_object(), version.as_ref()).await? {
        Replaced::Done(_) => Ok(()),
        Replaced::Conflict => bail!("{} was changed by somebody else: the next tick goes on", keys::RECENT_ROLLUPS),
    }
}

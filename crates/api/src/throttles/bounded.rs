//! A map that never grows beyond a bound and forgets what nobody touches.

use core::hash::Hash;
use core::time::Duration;
use std::collections::HashMap;

use governor::nanos::Nanos;

/// Two generations. What is touched is in the young one; when that is full, or its time is over, it
/// becomes the old one, and what was left in the old one is forgotten at once. So nothing is ever
/// searched for what to drop, an entry stays for at least `lifetime` after it was touched unless
/// half the bound of others came since, and it is gone after twice that.
pub(crate) struct Bounded<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    count_max: usize,
    lifetime: Nanos,
    turned_at: Nanos,
}

impl<K: Eq + Hash + Clone, V> Bounded<K, V> {
    /// An empty map of at most `count_max` entries.
    pub(crate) fn new(count_max: usize, lifetime: Duration) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            count_max,
            lifetime: lifetime.into(),
            turned_at: Nanos::new(0),
        }
    }

    /// Looks an entry up without touching it.
    pub(crate) fn get(&mut self, key: &K, now: Nanos) -> Option<&V> {
        self.forget(now);
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Touches an entry, and makes it where there is none.
    pub(crate) fn touch(&mut self, key: K, now: Nanos, make: impl FnOnce() -> V) -> &mut V {
        self.forget(now);
        if self.young.len() >= self.count_max / 2 && !self.young.contains_key(&key) {
            self.turn(now);
        }
        let kept = self.old.remove(&key);
        self.young
            .entry(key)
            .or_insert_with(|| kept.unwrap_or_else(make))
    }

    /// Forgets an entry.
    pub(crate) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    fn forget(&mut self, now: Nanos) {
        let lifetime = self.lifetime.as_u64().max(1);
        let since = now.saturating_sub(self.turned_at).as_u64();
        let turns = since / lifetime;
        // After the second turn nothing is left, however long nobody came.
        for _ in 0..turns.min(2) {
            self.turn(now.saturating_sub(Nanos::new(since % lifetime)));
        }
    }

    fn turn(&mut self, at: Nanos) {
        self.old = core::mem::take(&mut self.young);
        self.turned_at = at;
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Nanos {
        Duration::from_secs(seconds).into()
    }

    #[test]
    fn n130_a_hundred_thousand_keys_never_take_more_than_the_bound() {
        let mut map = Bounded::new(1_000, Duration::from_mins(1));
        for key in 0..100_000_u32 {
            map.touch(key, seconds(1), || ());
            assert!(map.len() <= 1_000, "{} after {key}", map.len());
        }
        assert!(map.get(&99_999, seconds(1)).is_some());
        assert!(map.get(&0, seconds(1)).is_none());
    }

    #[test]
    fn n130_what_nobody_touches_is_forgotten() {
        let mut map = Bounded::new(10, Duration::from_mins(1));
        for (at, key) in [(0, "early"), (50, "late")] {
            map.touch(key, seconds(at), || ());
        }
        assert!(map.get(&"early", seconds(59)).is_some());
        map.touch("late", seconds(110), || ());
        assert!(map.get(&"early", seconds(125)).is_none());
        assert!(map.get(&"late", seconds(169)).is_some(), "touched 59 s ago");
        assert!(map.get(&"late", seconds(1_000)).is_none());
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn what_is_touched_outlives_a_turn() {
        let mut map = Bounded::new(4, Duration::from_mins(1));
        for key in 0..20 {
            *map.touch(100, seconds(0), || 0) += 1;
            map.touch(key, seconds(0), || 0);
        }
        assert_eq!(map.get(&100, seconds(0)), Some(&20));
        map.remove(&100);
        assert_eq!(map.get(&100, seconds(0)), None);
    }
}

//! Whether the interval holds the true chance as often as it promises, tried
//! on worlds whose truth is known.

use super::Sample;

/// A world: each path with the chance that a run touches it, each group of
/// paths at once, as a module comes with its files.
struct World {
    chances: Vec<f64>,
    /// Paths that come together.
    group: usize,
}

impl World {
    fn sample(&self, units: usize, random: &mut fastrand::Rng) -> (Sample, Vec<bool>) {
        let mut sample = Sample::default();
        let mut seen = vec![false; self.chances.len()];
        for unit in 0..units {
            let mut paths = vec![b"/always".to_vec()];
            for (index, &chance) in self.chances.iter().enumerate() {
                if random.f64() < chance {
                    seen[index] = true;
                    paths.extend((0..self.group).map(|n| format!("/{index}/{n}").into_bytes()));
                }
            }
            sample.add(unit.to_string(), paths.iter().map(Vec::as_slice));
        }
        (sample, seen)
    }

    /// Chance that a further run touches something not seen.
    fn unseen(&self, seen: &[bool]) -> f64 {
        let unseen = self.chances.iter().zip(seen).filter(|&(_, &seen)| !seen);
        1.0 - unseen.map(|(chance, _)| 1.0 - chance).product::<f64>()
    }
}

#[test]
fn the_interval_holds_the_true_chance_in_nine_of_ten_samples_and_more() {
    const SAMPLES: usize = 400;
    let mut random = fastrand::Rng::with_seed(1953);
    let harmonic = |n: usize, top: f64| (1..=n).map(|k| top / k as f64).collect::<Vec<_>>();
    let worlds = [
        ("a few common paths", World { chances: vec![0.5; 6], group: 1 }),
        ("rare paths", World { chances: vec![0.02; 30], group: 1 }),
        ("very rare paths", World { chances: vec![0.002; 200], group: 3 }),
        ("Zipf", World { chances: harmonic(300, 0.6), group: 1 }),
        ("Zipf, in groups", World { chances: harmonic(60, 0.9), group: 10 }),
        ("nothing to find", World { chances: vec![], group: 1 }),
    ];
    for (name, world) in &worlds {
        for units in [5, 20, 60] {
            let held = (0..SAMPLES)
                .filter(|_| {
                    let (sample, seen) = world.sample(units, &mut random);
                    let interval = sample.coverage().estimate.unwrap().interval;
                    let truth = world.unseen(&seen);
                    interval.low <= truth && truth <= interval.high
                })
                .count();
            println!("{name}, {units} runs: {held} of {SAMPLES}");
            assert!(held * 10 >= SAMPLES * 9, "{name}, {units} runs: {held} of {SAMPLES}");
        }
    }
}

//! Work on several threads at once, with results in the order of the work.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::thread;

/// One piece of work.
pub type Task<'a, T> = Box<dyn FnOnce() -> T + Send + 'a>;

/// How many threads there are when nobody says.
pub fn threads(asked: Option<NonZeroUsize>) -> NonZeroUsize {
    asked.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
}

/// Does all tasks, beginning with the first; put the longest there.
pub fn run<T: Send>(asked: Option<NonZeroUsize>, tasks: Vec<Task<'_, T>>) -> Vec<T> {
    let workers = threads(asked).get().min(tasks.len());
    if workers <= 1 {
        return tasks.into_iter().map(|task| task()).collect();
    }
    let results: Vec<Mutex<Option<T>>> = tasks.iter().map(|_| Mutex::new(None)).collect();
    let queue = Mutex::new(tasks.into_iter().enumerate());
    let work = || {
        loop {
            // The lock is not held while a task runs.
            let next = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
            let Some((index, task)) = next else { return };
            let result = task();
            *results[index].lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(work);
        }
        work();
    });
    // A panic of a task has come through the scope: every slot is filled.
    results.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_tasks() {
        for workers in 1..5 {
            let tasks = (0..20).map(|n| Box::new(move || n * n) as Task<'_, i32>).collect();
            let all = run(NonZeroUsize::new(workers), tasks);
            assert_eq!(all, (0..20).map(|n| n * n).collect::<Vec<_>>());
        }
    }
}

//! An allocator that counts, so that a target can bound the memory for an input.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator with a count of the allocated bytes. A target makes it its
/// `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

fn grown(octets: usize) {
    let live = LIVE.fetch_add(octets, Relaxed) + octets;
    PEAK.fetch_max(live, Relaxed);
}

// SAFETY: every call goes to the system's allocator with its own arguments, and the counts are
// atomic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, octets: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(octets, layout) }
    }

    unsafe fn realloc(&self, octets: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grown(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(octets, layout, size) }
    }
}

/// Returns the allocated bytes.
pub fn live() -> usize {
    LIVE.load(Relaxed)
}

/// Returns the peak of the allocated bytes since [`reset_peak`].
pub fn peak() -> usize {
    PEAK.load(Relaxed)
}

/// Sets the peak to the bytes that are allocated at this moment.
pub fn reset_peak() {
    PEAK.store(live(), Relaxed);
}

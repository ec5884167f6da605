//! The allocator of the components: free lists of small areas by size.
//!
//! Most of a function's allocations are small and live for one request. The C library's allocator,
//! which the standard library uses, inspects the neighbours of every freed area and joins free
//! ones. In a function that builds an index of many strings, that is a quarter of the time. Here an
//! area of up to [`LARGEST`] bytes comes from the list of its size and returns to it, without
//! access to other memory. Sizes are rounded up to whole [`STEP`]s. New areas are cut off a piece
//! of memory. Pieces, and areas beyond [`LARGEST`], come from the C library's allocator.
//!
//! Small areas are never joined to larger ones. That does not matter to an instance that ends with
//! its request. A reused instance keeps the most that it ever had of each size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// The largest area that has a list, in bytes.
const LARGEST: usize = 1024;

/// The unit of sizes, in bytes: at least the size of an address, and the greatest alignment of an
/// area.
const STEP: usize = 16;

/// A piece of memory that areas are cut off: whole pages, less the C library's overhead.
const PIECE: Layout = match Layout::from_size_align((64 << 10) - STEP, STEP) {
    Ok(layout) => layout,
    Err(_) => panic!("the alignment is a power of two"),
};

/// The size of the first piece, in bytes. It is a part of the allocator, so that a function with
/// few allocations needs no other memory.
const FIRST: usize = 8 << 10;

/// The allocator. It must not move after the first allocation, because areas of the first piece are
/// a part of it.
pub(crate) struct Allocator {
    state: UnsafeCell<State>,
    first: UnsafeCell<First>,
}

struct State {
    /// The first free area of each size. A free area begins with the address of the next one.
    free: [Option<NonNull<Free>>; LARGEST / STEP],
    /// The start of the unused part of the piece, and its length in bytes.
    piece: Option<NonNull<u8>>,
    left: usize,
}

struct Free {
    next: Option<NonNull<Free>>,
}

#[repr(align(16))]
struct First(#[expect(dead_code, reason = "it is used by its address")] [MaybeUninit<u8>; FIRST]);

impl Allocator {
    pub(crate) const fn new() -> Self {
        Self {
            state: UnsafeCell::new(State {
                free: [None; LARGEST / STEP],
                piece: None,
                left: 0,
            }),
            first: UnsafeCell::new(First([MaybeUninit::uninit(); FIRST])),
        }
    }

    /// The address of a new area of a list; null when there is no memory for it.
    #[cold]
    fn cut(&self, state: &mut State, list: usize) -> *mut u8 {
        let size = (list + 1) * STEP;
        let area = match state.piece {
            Some(piece) if state.left >= size => piece,
            before => {
                let (piece, length) = if before.is_none() {
                    (self.first.get().cast(), FIRST)
                } else {
                    // SAFETY: the size is not zero.
                    (unsafe { System.alloc(PIECE) }, PIECE.size())
                };
                let Some(piece) = NonNull::new(piece) else {
                    return ptr::null_mut();
                };
                state.left = length;
                piece
            }
        };
        // SAFETY: the piece has at least `size` bytes from here, so the address after them is at most its end.
        state.piece = Some(unsafe { area.add(size) });
        state.left -= size;
        area.as_ptr()
    }
}

/// The list of an area; `None` for an area that has none.
const fn list(layout: Layout) -> Option<usize> {
    if layout.size() == 0 || layout.size() > LARGEST || layout.align() > STEP {
        return None;
    }
    Some((layout.size() - 1) / STEP)
}

// SAFETY: an area has `(list + 1) * STEP` bytes, which is no less than its layout requires. It is
// at a multiple of `STEP` from the start of a piece, which is aligned to `STEP`, and `list` rejects
// larger alignments. An area is cut off once. Afterwards it is either allocated or in the one list
// of its layout, because a caller frees it with the layout of its allocation. Pieces are never
// freed. No reference to the state outlives a call, no call is made while there is one, and none
// points to an area. Nothing here panics.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = list(layout) else {
            // SAFETY: the caller's promise is the same.
            return unsafe { System.alloc(layout) };
        };
        // SAFETY: see above.
        let state = unsafe { &mut *self.state.get() };
        let Some(area) = state.free[list] else {
            return self.cut(state, list);
        };
        // SAFETY: what is in a list begins with the address of the next.
        state.free[list] = unsafe { area.read() }.next;
        area.as_ptr().cast()
    }

    #[inline]
    unsafe fn dealloc(&self, area: *mut u8, layout: Layout) {
        let Some(list) = list(layout) else {
            // SAFETY: its layout shows that it was allocated there.
            return unsafe { System.dealloc(area, layout) };
        };
        // SAFETY: see above.
        let state = unsafe { &mut *self.state.get() };
        let next = state.free[list];
        let area: *mut Free = area.cast();
        // SAFETY: the caller gives the area up, and it is large enough and aligned for an address.
        unsafe { area.write(Free { next }) };
        state.free[list] = NonNull::new(area);
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if list(layout).is_none() {
            // SAFETY: the caller's promise is the same.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: the caller's promise is the same.
        let area = unsafe { self.alloc(layout) };
        if !area.is_null() {
            // SAFETY: the area has as many bytes.
            unsafe { area.write_bytes(0, layout.size()) };
        }
        area
    }

    unsafe fn realloc(&self, area: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(now) = Layout::from_size_align(size, layout.align()) else {
            return ptr::null_mut();
        };
        match (list(layout), list(now)) {
            // SAFETY: it was allocated there, and the caller's promise is the same.
            (None, None) => unsafe { System.realloc(area, layout, size) },
            (before, after) if before == after => area,
            _ => {
                // SAFETY: the caller promises that the size is not zero.
                let moved = unsafe { self.alloc(now) };
                if !moved.is_null() {
                    // SAFETY: both have as many bytes, and a newly allocated area overlaps no
                    // other. The caller gives the old one up.
                    unsafe {
                        moved.copy_from_nonoverlapping(area, layout.size().min(size));
                        self.dealloc(area, layout);
                    }
                }
                moved
            }
        }
    }
}

// SAFETY: without atomic instructions a module has one thread.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
unsafe impl Sync for Allocator {}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};

    use super::*;
    use crate::Generator;

    struct Area {
        address: *mut u8,
        layout: Layout,
        filled_with: u8,
    }

    impl Area {
        fn fill(&self) {
            // SAFETY: it has as many bytes, and no other reference to them exists.
            unsafe {
                self.address
                    .write_bytes(self.filled_with, self.layout.size());
            };
        }

        fn bytes(&self) -> &[u8] {
            // SAFETY: it has as many bytes, all of which were written.
            unsafe { std::slice::from_raw_parts(self.address, self.layout.size()) }
        }

        fn check(&self) {
            assert!(self.address.addr().is_multiple_of(self.layout.align()));
            assert!(self.bytes().iter().all(|byte| *byte == self.filled_with));
        }
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    #[test]
    fn areas_keep_what_is_written_to_them_while_others_come_and_go() {
        let allocator = Allocator::new();
        let mut areas: Vec<Area> = Vec::new();
        let mut random = Generator::seed_from_u64(1);
        let mut below = |limit: u64| usize::try_from(random.next_u64() % limit).expect("small");
        for step in 0..20_000 {
            let size = if below(8) == 0 {
                1 + below(5_000)
            } else {
                1 + below(100)
            };
            if areas.len() > 300 || (below(3) == 0 && !areas.is_empty()) {
                let area = areas.swap_remove(below(areas.len() as u64));
                area.check();
                // SAFETY: it was allocated with this layout.
                unsafe { allocator.dealloc(area.address, area.layout) };
            } else if below(4) == 0 && !areas.is_empty() {
                let index = below(areas.len() as u64);
                let area = &mut areas[index];
                area.check();
                let kept = size.min(area.layout.size());
                // SAFETY: it was allocated with this layout, and the size is not zero.
                area.address = unsafe { allocator.realloc(area.address, area.layout, size) };
                area.layout = layout(size, area.layout.align());
                // SAFETY: it has as many bytes, which were all written or moved.
                let before = unsafe { std::slice::from_raw_parts(area.address, kept) };
                assert!(before.iter().all(|byte| *byte == area.filled_with));
                area.fill();
            } else {
                let layout = layout(size, 1 << below(7));
                let zeroed = below(2) == 0;
                // SAFETY: the size is not zero.
                let address = unsafe {
                    if zeroed {
                        allocator.alloc_zeroed(layout)
                    } else {
                        allocator.alloc(layout)
                    }
                };
                let mut area = Area {
                    address,
                    layout,
                    filled_with: 0,
                };
                if zeroed {
                    area.check();
                }
                area.filled_with = u8::try_from(step % 251).expect("a byte");
                area.fill();
                areas.push(area);
            }
        }
        for area in areas {
            area.check();
            // SAFETY: it was allocated with this layout.
            unsafe { allocator.dealloc(area.address, area.layout) };
        }
    }

    #[test]
    fn freed_areas_are_reused_for_their_size() {
        fn check(freed: usize, asked: usize, expected: bool) {
            let allocator = Allocator::new();
            let (freed, asked) = (layout(freed, 8), layout(asked, 8));
            // SAFETY: no size is zero, and each area is freed with the layout of its allocation.
            unsafe {
                let first = allocator.alloc(freed);
                allocator.dealloc(first, freed);
                let second = allocator.alloc(asked);
                assert_eq!(first == second, expected, "{freed:?}, {asked:?}");
                allocator.dealloc(second, asked);
            }
        }
        check(1, 16, true);
        check(16, 17, false);
        check(1009, 1024, true);
        check(100, 200, false);
    }

    #[test]
    fn areas_that_are_never_freed_take_no_more_than_they_must() {
        let allocator = Allocator::new();
        let small = layout(STEP, STEP);
        // SAFETY: the size is not zero.
        let areas = [0; FIRST / STEP].map(|_| unsafe { allocator.alloc(small) }.addr());
        let (first, last) = (areas[0], areas[areas.len() - 1]);
        assert_eq!(last - first, FIRST - STEP);
    }
}

//! Reads the password database of Cyrus SASL, a Berkeley DB file of type hash. Never writes it.
//!
//! The file is a sequence of pages of one size. The first page describes the file. A page of items
//! has:
//!
//! * a header of 26 bytes, with the number of items at 20 and the page's type at 25,
//! * a table of 16-bit offsets,
//! * the items, which fill the page from its end: keys and their data in turn, each after a byte
//!   with its kind.
//!
//! A key is `NAME NUL REALM NUL PROPERTY`. Its data is the password.

/// Offsets in the first page of the magic number of hash files, and of the size of all pages.
const MAGIC_AT: usize = 12;
const MAGIC: u32 = 0x0006_1561;
const PAGE_SIZE_AT: usize = 20;

const ITEMS_AT: usize = 20;
const TYPE_AT: usize = 25;
const HEADER: usize = 26;

/// Types of pages of items, in older and newer releases.
const HASH_UNSORTED: u8 = 2;
const HASH: u8 = 13;

/// The kind of an item that stands in the page itself.
const KEY_DATA: u8 = 1;

/// Returns the data of a key, or `Some(None)` if the file lacks it. Returns `None` if the file is
/// no such database.
pub(super) fn find<'a>(file: &'a [u8], key: &[u8]) -> Option<Option<&'a [u8]>> {
    if number(file, MAGIC_AT)? != MAGIC {
        return None;
    }
    let size = usize::try_from(number(file, PAGE_SIZE_AT)?)
        .ok()
        .filter(|size| size.is_power_of_two() && *size >= 512)?;
    Some(file.chunks_exact(size).skip(1).find_map(|page| find_in(page, key)))
}

fn find_in<'a>(page: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    if !matches!(page.get(TYPE_AT), Some(&(HASH | HASH_UNSORTED))) {
        return None;
    }
    let items = usize::from(short(page, ITEMS_AT)?);
    (0..items / 2)
        .find_map(|pair| (item(page, 2 * pair)? == key).then(|| item(page, 2 * pair + 1)).flatten())
}

/// Returns an item of a page; `None` for a malformed item and for one that is stored elsewhere.
fn item(page: &[u8], index: usize) -> Option<&[u8]> {
    let offset = |index: usize| short(page, HEADER + 2 * index).map(usize::from);
    let end = if index == 0 { page.len() } else { offset(index - 1)? };
    match page.get(offset(index)?..end)?.split_first()? {
        (&KEY_DATA, data) => Some(data),
        _ => None,
    }
}

fn short(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn number(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

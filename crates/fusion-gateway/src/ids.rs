//! Names that nobody can guess.

use rand::TryRng as _;
use rand::rngs::SysRng;

/// Characters of an id.
const CHARS: usize = 32;

/// 128 bits from the operating system, hexadecimal. None if the system has no randomness.
pub(crate) fn fresh() -> Option<String> {
    let mut bytes = [0u8; CHARS / 2];
    SysRng.try_fill_bytes(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether `text` can be an id: whatever else a path holds never reaches the database or the disk.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == CHARS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_paths() {
        let id = fresh().unwrap();
        assert!(is_id(&id) && fresh().unwrap() != id);
        for bad in
            ["", "..", "../../../../../../etc/passwd/xxxxx", &id[1..], &format!("{id}0"), &id.to_uppercase().replace('0', "A"), "%00"]
        {
            assert!(!is_id(bad), "{bad}");
        }
    }
}

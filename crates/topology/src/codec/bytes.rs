use super::DecodeError;

/// Bytes of a number at most: seven bits each of 64.
const VARINT_BYTES_MAX: usize = 10;

/// Appends a number, seven bits a byte, the lowest first, as LEB128.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

/// Appends a count or an index.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_number(out, u64::try_from(count).expect("no count is above 2^64"));
}

/// Appends a text and its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Input of which a part is read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    /// Eight bytes, the lowest first.
    pub(super) fn word(&mut self) -> Result<u64, DecodeError> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("eight were taken")))
    }

    pub(super) fn number(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0u64;
        for at in 0..VARINT_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if at == VARINT_BYTES_MAX - 1 && bits > 1 {
                break;
            }
            number |= bits << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::Number)
    }

    /// A count or index of at most `max`; `what` is for the message.
    pub(super) fn count(&mut self, max: usize, what: &'static str) -> Result<usize, DecodeError> {
        let number = self.number()?;
        let count = usize::try_from(number).ok().filter(|count| *count <= max);
        count.ok_or(DecodeError::AboveMax { what, number, max })
    }

    /// A text of at most `max` bytes.
    pub(super) fn text(&mut self, max: usize, what: &'static str) -> Result<&'a str, DecodeError> {
        let len = self.count(max, what)?;
        core::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::Text { what })
    }

    pub(super) const fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::Trailing { bytes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_seven_bits_a_byte() {
        for (number, bytes) in
            [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX, 10)]
        {
            let mut out = Vec::new();
            put_number(&mut out, number);
            assert_eq!(out.len(), bytes, "{number}");
            let mut reader = Reader::new(&out);
            assert_eq!(reader.number(), Ok(number));
            assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn a_number_above_64_bits_is_refused() {
        let mut bytes = [0xff; 10];
        bytes[9] = 0x02;
        assert_eq!(Reader::new(&bytes).number(), Err(DecodeError::Number));
        assert_eq!(Reader::new(&[0x80; 11]).number(), Err(DecodeError::Number));
        assert_eq!(Reader::new(&[0x80; 9]).number(), Err(DecodeError::Truncated));
    }
}

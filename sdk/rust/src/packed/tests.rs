#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn bits_come_back_as_they_were_pushed(bits in prop::collection::vec(any::<bool>(), 0..70)) {
        let mut writer = BitsWriter::default();
        bits.iter().for_each(|bit| writer.push(*bit));
        let bytes = writer.finish();
        prop_assert_eq!(bytes.is_empty(), bits.iter().all(|bit| *bit));
        let read = Bits::new("bits", &bytes, bits.len()).unwrap();
        for (i, bit) in bits.iter().enumerate() {
            prop_assert_eq!(read.get(i), *bit);
        }
    }

    #[test]
    fn numbers_come_back_as_they_were_put(a in any::<i128>(), b in any::<u128>(), c in any::<i64>()) {
        let mut bytes = Vec::new();
        put_signed(&mut bytes, a);
        put_varint(&mut bytes, b);
        put_signed(&mut bytes, c.into());
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.signed().unwrap(), a);
        prop_assert_eq!(reader.varint().unwrap(), b);
        prop_assert_eq!(reader.int::<i64>().unwrap(), c);
        prop_assert!(reader.is_empty() && reader.byte().is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), n in 0usize..12) {
        let mut reader = Reader::new(&bytes);
        while reader.varint().is_ok() {}
        let _ = offsets("offsets", &bytes, n, bytes.len());
        let _ = (U32s::new("u32s", &bytes), I64s::new("i64s", &bytes, n), Bits::new("bits", &bytes, n));
    }
}

#[test]
fn a_list_of_the_wrong_length_is_named() {
    let error = I64s::new("weights", &[0; 12], 2).unwrap_err();
    assert_eq!(error, "weights: 12 bytes where 16 for 2 entries are due");
    assert!(offsets("o", &[1, 0, 0, 0], 0, 1).is_err());
    assert!(offsets("o", &[0, 0, 0, 0], 0, 0).is_ok());
}

//! Composite types: described lists (part 1.4).

/// Defines composite types: a struct, its descriptor, and its fields in the order of the wire. A
/// field is `Option` unless the specification makes it mandatory, which `!` marks. Trailing nulls
/// are not written.
macro_rules! composite {
    ($(
        $(#[$meta:meta])*
        $name:ident = $code:literal {
            $($(#[$fmeta:meta])* $field:ident : $type:ty $(, $must:tt)?;)*
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name { $($(#[$fmeta])* pub $field: composite!(@type $type $(, $must)?),)* }

        impl $name {
            /// The numeric descriptor.
            pub const CODE: u8 = $code;

            /// Reads the list behind the descriptor. Ignores fields beyond the known, for later
            /// versions may add some.
            ///
            /// # Errors
            /// A field does not decode, or a mandatory one is missing.
            #[allow(clippy::allow_attributes, unused_mut, unused_variables)]
            pub fn decode_fields(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let (mut left, mut body) = reader.list()?;
                Ok(Self { $($field: composite!(@read body, left, $field, $type $(, $must)?),)* })
            }
        }

        impl Encode for $name {
            #[allow(
                clippy::allow_attributes,
                unused_mut,
                unused_variables,
                unused_assignments
            )]
            fn encode(&self, out: &mut Vec<u8>) {
                encode::descriptor(out, $code);
                let mut index = 0u32;
                let mut count = 0u32;
                $(index += 1; if composite!(@present self.$field $(, $must)?) { count = index; })*
                encode::list(out, count, |out| {
                    let mut index = 0u32;
                    $(index += 1; if index <= count { self.$field.encode(out); })*
                });
            }
        }
    )+};
    (@type $type:ty) => { Option<$type> };
    (@type $type:ty, !) => { $type };
    (@read $body:ident, $left:ident, $field:ident, $type:ty) => {
        field::<$type>(&mut $body, &mut $left)?
    };
    (@read $body:ident, $left:ident, $field:ident, $type:ty, !) => {
        field::<$type>(&mut $body, &mut $left)?.ok_or(DecodeError::Missing(stringify!($field)))?
    };
    (@present $self:ident . $field:ident) => { $self.$field.is_some() };
    (@present $self:ident . $field:ident, !) => { true };
}
pub(crate) use composite;

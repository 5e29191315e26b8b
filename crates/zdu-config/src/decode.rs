//! From a tree to the raw types: a serde deserializer that can also hand out places ([`At`]) and
//! keeps the order of maps ([`Entries`]). The tree was compared with the schema before, so what is
//! left to fail here is little.

use crate::diagnostic::Place;
use crate::tree::{Key, Kind, Tree};
use core::fmt;
use core::marker::PhantomData;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use std::borrow::Cow;

/// Reads a tree into a type.
pub(crate) fn decode<T: DeserializeOwned>(tree: &Tree) -> Result<T, Failure> {
    T::deserialize(Reader(tree))
}

/// Why a tree is not of the type.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) place: Option<Place>,
}

impl Failure {
    fn at(self, place: Place) -> Self {
        let place = self.place.or(Some(place));
        Self { place, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), place: None }
    }
}

/// The newtype name by which [`At`] asks a [`Reader`] for the place.
const AT: &str = "$zdu::At";

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = At<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with a place")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<At<T>, A::Error> {
                let mut part = || seq.next_element::<u64>().map(Option::unwrap_or_default);
                let place = Place {
                    source: usize::try_from(part()?).unwrap_or(0),
                    line: u32::try_from(part()?).unwrap_or(0),
                    column: u32::try_from(part()?).unwrap_or(0),
                    start: usize::try_from(part()?).unwrap_or(0),
                    len: usize::try_from(part()?).unwrap_or(0),
                };
                match seq.next_element()? {
                    Some(value) => Ok(At { value, place }),
                    None => Err(de::Error::custom("no value")),
                }
            }
        }
        deserializer.deserialize_newtype_struct(AT, V(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A map in the order it was written, with the places of its keys.
#[derive(Debug, Clone)]
pub(crate) struct Entries<T>(pub(crate) Vec<(At<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, T> IntoIterator for &'a Entries<T> {
    type Item = &'a (At<String>, T);
    type IntoIter = core::slice::Iter<'a, (At<String>, T)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Entries<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Entries(all))
            }
        }
        deserializer.deserialize_map(V(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": values })
    }
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Reader<'t>(&'t Tree);

impl Reader<'_> {
    fn wrong<T>(self, expected: &str) -> Result<T, Failure> {
        let message = format!("expected {expected}, found {}", self.0.kind.name());
        Err(Failure { message, place: Some(self.0.place) })
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty, $expected:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            match &self.0.kind {
                Kind::Scalar { text, quoted: false } => match text.parse::<$type>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => self.wrong($expected),
                },
                Kind::Scalar { .. } | Kind::Null | Kind::List(_) | Kind::Map(_) => {
                    self.wrong($expected)
                }
            }
            .map_err(|failure| failure.at(self.0.place))
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let place = self.0.place;
        match &self.0.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Scalar { text, quoted: _ } => visitor.visit_str(text),
            Kind::List(items) => visitor.visit_seq(Items(items.iter())),
            Kind::Map(entries) => visitor.visit_map(Pairs { entries: entries.iter(), value: None }),
        }
        .map_err(|failure: Failure| failure.at(place))
    }

    parsed! {
        deserialize_bool visit_bool bool, "true or false";
        deserialize_u8 visit_u64 u64, "a whole number";
        deserialize_u16 visit_u64 u64, "a whole number";
        deserialize_u32 visit_u64 u64, "a whole number";
        deserialize_u64 visit_u64 u64, "a whole number";
        deserialize_i32 visit_i64 i64, "a whole number";
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.0.kind {
            Kind::Null => visitor.visit_none(),
            Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        if name == AT {
            let place = self.0.place;
            return visitor.visit_seq(Placed::new(place, Inner::Value(self.0)));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let place = self.0.place;
        let variant = match &self.0.kind {
            Kind::Scalar { text, quoted: _ } => Variant { name: text, value: None },
            Kind::Map(entries) => match entries.as_slice() {
                [(key, tree)] => Variant { name: &key.text, value: Some(tree) },
                _ => return self.wrong("a map with exactly one key"),
            },
            Kind::Null | Kind::List(_) => return self.wrong("a name or a map with one key"),
        };
        visitor.visit_enum(variant).map_err(|failure: Failure| failure.at(place))
    }

    forward_to_deserialize_any! {
        i8 i16 i64 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map struct identifier ignored_any
    }
}

struct Items<'t>(core::slice::Iter<'t, Tree>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Failure;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failure> {
        let item = self.0.next();
        item.map(|tree| seed.deserialize(Reader(tree))).transpose()
    }
}

struct Pairs<'t> {
    entries: core::slice::Iter<'t, (Key, Tree)>,
    value: Option<&'t Tree>,
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = Failure;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Failure> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        let place = key.place;
        let read = seed.deserialize(KeyReader(key));
        read.map(Some).map_err(|failure| failure.at(place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        match self.value.take() {
            Some(tree) => {
                let read = seed.deserialize(Reader(tree));
                read.map_err(|failure| failure.at(tree.place))
            }
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

/// Reads a key.
struct KeyReader<'t>(&'t Key);

impl<'de> Deserializer<'de> for KeyReader<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_str(&self.0.text)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        if name == AT {
            return visitor.visit_seq(Placed::new(self.0.place, Inner::Key(self.0)));
        }
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The sequence an [`At`] is read from: five numbers, then the value.
struct Placed<'t> {
    numbers: std::vec::IntoIter<u64>,
    inner: Option<Inner<'t>>,
}

enum Inner<'t> {
    Value(&'t Tree),
    Key(&'t Key),
}

impl<'t> Placed<'t> {
    fn new(place: Place, inner: Inner<'t>) -> Self {
        let Place { source, line, column, start, len } = place;
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let numbers = vec![wide(source), line.into(), column.into(), wide(start), wide(len)];
        Self { numbers: numbers.into_iter(), inner: Some(inner) }
    }
}

impl<'de> SeqAccess<'de> for Placed<'_> {
    type Error = Failure;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failure> {
        if let Some(number) = self.numbers.next() {
            let reader: U64Deserializer<Failure> = number.into_deserializer();
            return seed.deserialize(reader).map(Some);
        }
        match self.inner.take() {
            Some(Inner::Value(tree)) => {
                let read = seed.deserialize(Reader(tree));
                read.map(Some).map_err(|failure| failure.at(tree.place))
            }
            Some(Inner::Key(key)) => seed.deserialize(KeyReader(key)).map(Some),
            None => Ok(None),
        }
    }
}

struct Variant<'t> {
    name: &'t str,
    value: Option<&'t Tree>,
}

impl<'de, 't> EnumAccess<'de> for Variant<'t> {
    type Error = Failure;
    type Variant = Content<'t>;
    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Content<'t>), Failure> {
        let name: StrDeserializer<'_, Failure> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Content(self.value)))
    }
}

struct Content<'t>(Option<&'t Tree>);

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Failure;
    fn unit_variant(self) -> Result<(), Failure> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(de::Error::custom("this takes no value")),
        }
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        match self.0 {
            Some(tree) => seed.deserialize(Reader(tree)),
            None => Err(de::Error::custom("this needs a value")),
        }
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        match self.0 {
            Some(tree) => Reader(tree).deserialize_any(visitor),
            None => Err(de::Error::custom("this needs a value")),
        }
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.tuple_variant(0, visitor)
    }
}

//! What a request's body may be, as /openapi.json describes it.

use utoipa::openapi::schema::{Array, KnownFormat, Object, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An image's file, as it is.
pub(super) struct ImageFile;

/// A form with images.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct Form {
    #[schema(schema_with = described_files)]
    image: Vec<Vec<u8>>,
}

impl PartialSchema for ImageFile {
    fn schema() -> RefOr<Schema> {
        file().into()
    }
}

impl ToSchema for ImageFile {}

/// Bytes, in the words that writers of clients understand.
fn file() -> Object {
    Object::builder().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).build()
}

fn described_files() -> Array {
    Array::builder().items(file()).description(Some("Files, whatever their fields are called.")).build()
}

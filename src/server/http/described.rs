//! Schemas of request bodies for `/openapi.json`.

use utoipa::openapi::schema::{Array, KnownFormat, Object, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The bytes of an image file.
pub(super) struct ImageFile;

/// A form with image files.
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

/// Binary data, in the form that client generators understand.
fn file() -> Object {
    Object::builder().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).build()
}

fn described_files() -> Array {
    Array::builder().items(file()).description(Some("Image files; the field names are ignored.")).build()
}

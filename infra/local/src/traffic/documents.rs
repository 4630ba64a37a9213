//! Documents. Their service is written in Python and logs as the source document does.

use super::calls::{answer, business, query};
use super::record::{Category, Failure, Level, Record};
use super::service::Service;
use super::stage::Stage;

const TYPES: [(&str, &str); 4] = [
    ("passport", "паспорт"),
    ("cadastral_extract", "выписка ЕГРН"),
    ("power_of_attorney", "доверенность"),
    ("contract_scan", "скан договора"),
];

const PREVIEW_FAILED: Failure = Failure {
    kind: "IndexError",
    message: "в документе нет страниц",
    traceback: "Traceback (most recent call last):\n  \
                File \"/app/logging/structured_logger.py\", line 160, in wrapper\n    result = func(*args, **kwargs)\n  \
                File \"/app/documents/preview.py\", line 88, in render\n    page = pdf.pages[0]\n\
                IndexError: в документе нет страниц\n",
};

/// A document is uploaded.
pub fn upload(stage: &mut Stage) {
    let mut visit = stage.visit();
    let (kind, name) = stage.chance.pick(&TYPES);
    let duration = stage.chance.hundredths(150.0, 700.0);
    query(stage, &mut visit, Service::Document, ("INSERT", "documents"), 9.75);
    let preview = preview(stage, duration * 0.75);
    stage.log(Service::Document, &visit, &preview);
    let record = business(format!("Документ загружен: {name}"), "document_uploaded")
        .with("document_type", kind)
        .with("file_size_mb", stage.chance.hundredths(0.1, 18.0));
    stage.log(Service::Document, &visit, &record);
    stage.count("documents_uploaded");
    answer(stage, &mut visit, Service::Document, ("POST", "/documents".to_owned()), 201, duration);
}

/// A document is read.
pub fn download(stage: &mut Stage) {
    let mut visit = stage.visit();
    let endpoint = format!("/documents/{}", stage.chance.between(1, 5_000));
    let duration = stage.chance.hundredths(20.0, 260.0);
    let status = if stage.chance.happens(0.03) { 404 } else { 200 };
    query(stage, &mut visit, Service::Document, ("SELECT", "documents"), duration / 4.0);
    answer(stage, &mut visit, Service::Document, ("GET", endpoint), status, duration);
}

// The Python logger's decorator: how long it took, or the error; its `error()` loses the duration.
fn preview(stage: &mut Stage, duration_ms: f64) -> Record {
    if stage.chance.happens(0.02) {
        let record = Record::new(Level::Error, Category::BusinessLogic, "Operation failed: render_preview");
        return record.because(PREVIEW_FAILED);
    }
    Record::new(Level::Info, Category::Performance, "Operation: render_preview")
        .with("operation", "render_preview")
        .with("duration_ms", duration_ms)
        .took(duration_ms)
}

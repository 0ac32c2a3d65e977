//! The page, built into the program: a fixed table, so that no path can lead anywhere else.

use std::hash::{DefaultHasher, Hash, Hasher};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ETag, EntityTag},
    web::{self, ServiceConfig},
};

struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! files {
    ($($path:literal => $file:literal, $content_type:expr;)+) => {
        &[$(File {
            path: $path,
            content_type: $content_type,
            content: include_str!(concat!("../page/", $file)),
        },)+]
    };
}

const FILES: &[File] = files! {
    "/" => "index.html", HTML;
    "/index.html" => "index.html", HTML;
    "/style.css" => "style.css", STYLE;
    "/icon.svg" => "icon.svg", IMAGE;
    "/favicon.ico" => "icon.svg", IMAGE;
    "/main.js" => "main.js", SCRIPT;
    "/call.js" => "call.js", SCRIPT;
    "/chat.js" => "chat.js", SCRIPT;
    "/data.js" => "data.js", SCRIPT;
    "/devices.js" => "devices.js", SCRIPT;
    "/dom.js" => "dom.js", SCRIPT;
    "/files.js" => "files.js", SCRIPT;
    "/layout.js" => "layout.js", SCRIPT;
    "/lobby.js" => "lobby.js", SCRIPT;
    "/peer.js" => "peer.js", SCRIPT;
    "/sha256.js" => "sha256.js", SCRIPT;
    "/signalling.js" => "signalling.js", SCRIPT;
    "/stats.js" => "stats.js", SCRIPT;
    "/tiles.js" => "tiles.js", SCRIPT;
    "/view.js" => "view.js", SCRIPT;
};

/// The page loads nothing from elsewhere and runs no inline script. Its pictures are its own and the call's.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; media-src 'self' blob: mediastream:; connect-src 'self' ws: wss:; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// What a call needs, for this page only.
const PERMISSIONS_POLICY: &str = "camera=(self), microphone=(self), display-capture=(self), speaker-selection=(self), \
     screen-wake-lock=(self)";

/// Adds a route for each file.
pub(crate) fn configure(service: &mut ServiceConfig) {
    for file in FILES {
        service.route(file.path, web::get().to(move |request: HttpRequest| serve(request, file)));
        service.route(file.path, web::head().to(move |request: HttpRequest| serve(request, file)));
    }
}

async fn serve(request: HttpRequest, file: &'static File) -> HttpResponse {
    let tag = EntityTag::new_strong(fingerprint(file.content));
    let is_known = is_known(&request, &tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .content_type(file.content_type)
        .insert_header(ETag(tag))
        // Always asked for, seldom sent: after an update of the server no old script meets a new one.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header(("Permissions-Policy", PERMISSIONS_POLICY));
    if is_known { response.finish() } else { response.body(file.content) }
}

/// RFC 9110 §13.1.2.
fn is_known(request: &HttpRequest, tag: &EntityTag) -> bool {
    let header = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    header.is_some_and(|value| {
        value
            .split(',')
            .filter_map(|known| known.trim().parse::<EntityTag>().ok())
            .any(|known| known.weak_eq(tag))
    })
}

/// Names a file's content; no secret depends on it.
fn fingerprint(content: &str) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use actix_web::{App, http::StatusCode, test};

    use super::*;

    async fn get(path: &str, known: Option<&str>) -> actix_web::dev::ServiceResponse {
        let app = test::init_service(App::new().configure(configure)).await;
        let mut request = test::TestRequest::get().uri(path);
        if let Some(tag) = known {
            request = request.insert_header((header::IF_NONE_MATCH, tag));
        }
        test::call_service(&app, request.to_request()).await
    }

    #[actix_web::test]
    async fn the_page_is_served_with_its_policy_and_not_sent_twice() {
        let page = get("/", None).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers().get(header::CONTENT_TYPE).unwrap(), HTML);
        assert!(page.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        let tag = page.headers().get(header::ETAG).unwrap().to_str().unwrap().to_owned();
        assert_eq!(get("/", Some(&tag)).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(get("/", Some("\"other\"")).await.status(), StatusCode::OK);
    }

    #[actix_web::test]
    async fn every_file_that_the_page_names_is_there() {
        for file in FILES {
            for word in
                file.content.split(['"', '\'']).filter(|word| word.starts_with("./") && word.ends_with(".js"))
            {
                let path = word.trim_start_matches('.');
                assert_eq!(get(path, None).await.status(), StatusCode::OK, "{path} in {}", file.path);
            }
        }
    }

    #[actix_web::test]
    async fn no_path_leads_out_of_the_table() {
        for path in
            ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/%252e%252e/Cargo.toml", "/page/main.js", "/main.js%00"]
        {
            assert_eq!(get(path, None).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}

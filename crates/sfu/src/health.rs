//! `GET /healthz`: should this process be restarted? `GET /readyz`: should it be given new clients?

use std::{collections::BTreeMap, time::Duration};

use actix_rtc::actors::kit::{self, KernelFeature, ShardLabel};
use actix_web::{HttpResponse, web::Data};
use serde_json::json;

use crate::app::App;

/// Shards show themselves four times a second: one that has not for so long is stuck.
const PROGRESS_AGE_MAX: Duration = Duration::from_secs(5);

/// `GET /healthz`: 200 while every thread that carries media makes progress and no shard is lost.
pub(crate) async fn alive(app: Data<App>) -> HttpResponse {
    if !app.rooms.engine().is_healthy() {
        return HttpResponse::ServiceUnavailable().json(json!({"status": "a shard is lost"}));
    }
    let now = kit::now();
    let stuck: Vec<usize> = kit::all_statistics()
        .iter()
        .filter(|shard| shard.progress_age(now).is_some_and(|age| age > PROGRESS_AGE_MAX))
        .filter_map(|shard| match shard.label() {
            ShardLabel::Shard(number) => Some(number),
            ShardLabel::Other => None,
        })
        .collect();
    if stuck.is_empty() {
        return HttpResponse::Ok().json(json!({"status": "ok", "kernel": kernel()}));
    }
    HttpResponse::ServiceUnavailable().json(json!({"status": "stuck", "shards": stuck}))
}

/// What the kernel gives of what was asked of it: for people, who may be able to change it.
fn kernel() -> BTreeMap<&'static str, bool> {
    let features = KernelFeature::ALL.iter();
    features.filter_map(|feature| Some((feature.as_str(), kit::kernel_feature(*feature)?))).collect()
}

/// `GET /readyz`: 200 while sessions can begin.
pub(crate) async fn ready(app: Data<App>) -> HttpResponse {
    if app.lifecycle.is_closing() {
        return HttpResponse::ServiceUnavailable().json(json!({"status": "shutting-down"}));
    }
    HttpResponse::Ok().json(json!({"status": "ready"}))
}

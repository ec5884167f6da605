//! Measures requests a second of one function: in a pool with nine functions, in a pool with many, and in `sampan up`.

use std::fs;

use anyhow::{Context as _, Result};

use super::server::{PoolServer, address, until_all_answer};
use super::site::Site;
use crate::arguments::Pool;
use crate::load::Load;
use crate::pooled::HELLO;
use crate::programs::Sampan;
use crate::report::{Goal, Row, Unit};

/// The namespaces of the small pool and of the large one.
const NAMESPACES: [&str; 2] = ["few", "many"];
/// The functions of the small pool.
const FEW: usize = 9;
const CONNECTIONS: usize = 20;

pub(super) async fn measure(asked: &Pool, site: &Site) -> Result<Vec<Row>> {
    let counts = [FEW, asked.functions + FEW];
    let (mut pools, mut urls, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    for (namespace, count) in NAMESPACES.into_iter().zip(counts) {
        eprintln!("  {count} functions");
        site.namespace(namespace).await?;
        site.make(namespace, 0..count).await?;
        let mut ports = site.ports(namespace, count).await?;
        // Both pools are on this machine, where a port is free once.
        for (number, port) in ports.iter().enumerate() {
            if taken.contains(port) {
                site.delete(namespace, number).await?;
            }
        }
        ports.retain(|port| !taken.contains(port));
        let folder = site.folder.path().join(namespace);
        pools.push(PoolServer::start(site, namespace, &folder).await?);
        let called = *ports.last().context("no function is left")?;
        until_all_answer(&[called]).await?;
        urls.push(format!("http://{}/", address(called)));
        taken.extend(ports);
    }
    let alone = alone(site).await?;
    urls.push(alone.server.url(&format!("/function/{HELLO}/")));
    let subjects = ["pool of nine", "pool of many", "sampan up"];
    let mut rates = [const { Vec::new() }; 3];
    let load = Load {
        connections: CONNECTIONS,
        seconds: asked.seconds,
    };
    for url in &urls {
        Load { seconds: 1, ..load }.run(url).await?;
    }
    for turn in 1..=asked.repeats {
        let mut order: Vec<_> = urls.iter().zip(&mut rates).collect();
        if turn % 2 == 0 {
            order.reverse();
        }
        for (url, rates) in order {
            rates.push(load.run(url).await?.rate());
        }
        eprintln!("  turn {turn} of {}", asked.repeats);
    }
    for pool in pools {
        pool.end().await?;
    }
    let ratios = |of: &[f64], to: &[f64]| of.iter().zip(to).map(|(of, to)| of / to).collect();
    let [few, many, up] = rates;
    let measure = format!("hello, c={CONNECTIONS}: throughput");
    let mut rows = vec![
        Row::new(
            &format!("{measure} / sampan up"),
            subjects[0],
            Unit::Ratio,
            ratios(&few, &up),
        )
        .with_goal(Goal::AtLeast(0.95)),
        Row::new(
            &format!("{measure} / pool of nine"),
            subjects[1],
            Unit::Ratio,
            ratios(&many, &few),
        )
        .with_goal(Goal::AtLeast(0.98)),
    ];
    for (subject, rates) in subjects.into_iter().zip([few, many, up]) {
        rows.push(Row::new(&measure, subject, Unit::RequestsPerSecond, rates));
    }
    Ok(rows)
}

/// The same function in `sampan up`.
async fn alone(site: &Site) -> Result<Sampan> {
    let folder = site.folder.path().join("up");
    let functions = folder.join("functions");
    fs::create_dir_all(&functions)?;
    fs::write(
        functions.join(format!("{HELLO}.wasm")),
        site.files.component(HELLO)?,
    )?;
    Sampan::up(&site.files, &folder.join("data"), &[functions]).await
}

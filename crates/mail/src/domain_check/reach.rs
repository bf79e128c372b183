//! Whether answers can come back, and whether links lead anywhere.

use super::{Finding, Severity};
use crate::dns::{Name, Resolver, Trouble};

/// The most servers for mail whose addresses are asked for.
const MOST_EXCHANGERS: usize = 5;

/// Whether mail to the domain of the address, and to that which bounces go to, finds a server.
pub(super) async fn mail(resolver: &Resolver, domain: &Name, envelope: &Name) -> Vec<Finding> {
    let mut findings = Vec::new();
    let other = (domain != envelope).then_some(domain);
    for (name, bounces) in other.map(|name| (name, false)).into_iter().chain([(envelope, true)]) {
        match mail_of(resolver, name, bounces).await {
            Ok(finding) => findings.extend(finding),
            Err((name, trouble)) => findings.push(Finding::unanswered(&name, &trouble)),
        }
    }
    findings
}

async fn mail_of(resolver: &Resolver, domain: &Name, bounces: bool) -> Result<Option<Finding>, (Name, Trouble)> {
    let at = |trouble: Trouble| (domain.clone(), trouble);
    // Many receivers refuse a sender to whom they could not send back, and go by the envelope.
    let finding = |code: &'static str, detail: String| {
        let cure = format!(
            "Publish an MX of {domain} with the name of the server that takes its mail: {domain} MX 10 mail.{domain}"
        );
        Finding::new(code, Severity::Warns, domain, format!("{detail} {cure}, if that is its name."))
    };
    let refused = |mut finding: Finding| {
        if bounces {
            finding.block("Many receivers refuse mail from a domain that cannot take its bounces.");
        }
        Some(finding)
    };
    let exchangers = resolver.mail_exchangers(domain).await.map_err(at)?;
    if exchangers.is_empty() {
        // Without MX, mail goes to the address of the domain itself (RFC 5321, 5.1), where mostly a web server is.
        let addresses = resolver.addresses(domain).await.map_err(at)?;
        let what = format!("{domain} has no server for mail (MX), so that answers and bounces do not come back.");
        let found = finding("mx_missing", what);
        return Ok(if addresses.is_empty() { refused(found) } else { Some(found) });
    }
    if exchangers.iter().all(|exchanger| exchanger.host.is_root()) {
        let what = format!("{domain} says that it takes no mail (an MX of a dot, RFC 7505).");
        return Ok(refused(finding("mx_null", what)));
    }
    for exchanger in exchangers.iter().filter(|exchanger| !exchanger.host.is_root()).take(MOST_EXCHANGERS) {
        match resolver.addresses(&exchanger.host).await {
            Ok(addresses) if addresses.is_empty() => {}
            Err(Trouble::AliasLoop) => {}
            Ok(_) => return Ok(None),
            Err(trouble) => return Err((exchanger.host.clone(), trouble)),
        }
    }
    let hosts: Vec<String> = exchangers.iter().map(|exchanger| exchanger.host.to_string()).collect();
    let hosts = hosts.join(", ");
    let what = format!(
        "The servers for mail of {domain} have no address ({}), so that answers and bounces do not come back.",
        crate::tags::shown(&hosts)
    );
    Ok(Some(finding("mx_unresolvable", what)))
}

/// Whether the host of the links has an address.
pub(super) async fn links(resolver: &Resolver, domain: &Name, target: Option<&str>) -> Vec<Finding> {
    let why = match resolver.addresses(domain).await {
        Ok(addresses) if !addresses.is_empty() => return Vec::new(),
        Ok(_) => "has no address".to_owned(),
        Err(Trouble::AliasLoop) => format!("has no address, since {}", Trouble::AliasLoop),
        Err(trouble) => return vec![Finding::unanswered(domain, &trouble)],
    };
    let detail = format!(
        "{domain} {why}, so that no link in the mail leads anywhere, that for unsubscribing included. Make it an alias of the \
         host that people reach this service at."
    );
    let finding = Finding::new("tracking_domain_missing", Severity::Blocks, domain, detail);
    vec![match target.and_then(Name::parse).filter(|target| target != domain) {
        Some(target) => finding.publish(domain, "CNAME", target.to_string()),
        None => finding,
    }]
}

use super::*;

#[test]
fn options_read_as_callers_write_them() {
    let json =
        r#"{"tier":"edge","prefer":"device","deadlineMs":1500,"privacy":"device","numerics":"fast","stream":true}"#;
    let options: Options = serde_json::from_str(json).unwrap();
    let expected = Options {
        tier: Some(Tier::Edge),
        prefer: Some(Tier::Device),
        deadline: Some(std::time::Duration::from_millis(1500)),
        privacy: Privacy::Device,
        numerics: Numerics::Fast,
        stream: true,
    };
    assert_eq!(options, expected);
    assert_eq!(serde_json::to_string(&options).unwrap(), json);
    assert_eq!(serde_json::from_str::<Options>("{}").unwrap(), Options::default());
    let plain = serde_json::to_string(&Options::default()).unwrap();
    assert!(!plain.contains("numerics") && !plain.contains("stream"));
    assert!(serde_json::from_str::<Options>(r#"{"privcy":"device"}"#).is_err(), "a typo must not mean less privacy");
    assert!(serde_json::from_str::<Options>(r#"{"deadlineMs":-1}"#).is_err());
}

#[test]
fn numerics_have_names() {
    for numerics in [Numerics::Exact, Numerics::Fast] {
        assert_eq!(numerics.as_str().parse(), Ok(numerics));
        assert_eq!(serde_json::to_value(numerics).unwrap(), numerics.as_str());
    }
    assert!("quick".parse::<Numerics>().unwrap_err().to_string().contains("expected exact"));
}

#[test]
fn tiers_have_names() {
    for tier in [Tier::Device, Tier::Peer, Tier::Edge, Tier::Cloud] {
        assert_eq!(tier.as_str().parse(), Ok(tier));
    }
    assert!("moon".parse::<Tier>().unwrap_err().to_string().contains("expected device"));
}

//! Writes a corpus: `seeds FOLDER` puts what well-behaved peers say into the folder.

use std::{env, fs, path::PathBuf};

use neuromesh_core::webrtc::{
    frame::{Flag, encode_data, encode_flag},
    signal::{Candidate, Signal},
};

const OFFER: &str =
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
const PATH: &str = "candidate:1 1 udp 2122260223 192.0.2.1 50000 typ host";

fn main() {
    let folder = env::args_os().nth(1).map(PathBuf::from).expect("usage: seeds FOLDER");
    fs::create_dir_all(&folder).expect("the folder can be made");
    let path = Candidate {
        candidate: PATH.into(),
        sdp_mid: Some("0".into()),
        sdp_m_line_index: Some(0),
        username_fragment: Some("abcd".into()),
    };
    let signals = [
        Signal::Offer(OFFER.into()),
        Signal::Answer(OFFER.into()),
        Signal::Candidate(path.to_json()),
        Signal::Candidate("null".into()),
    ];
    let mut seeds: Vec<Vec<u8>> = signals.iter().map(Signal::encode).collect();
    seeds.push(seeds.concat());
    seeds.push([encode_data(b"/multistream/1.0.0\n"), encode_flag(Flag::Fin), encode_flag(Flag::FinAck)].concat());
    seeds.push([encode_data(&[7; 300]), encode_flag(Flag::StopSending), encode_flag(Flag::Reset)].concat());
    for (index, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{index}")), seed).expect("written");
    }
    println!("{} seeds in {}", seeds.len(), folder.display());
}

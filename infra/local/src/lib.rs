//! The local stack: an embedded AWS on loopback, `template.yaml` deployed to it through CloudFormation,
//! and a day of made-up traffic played through it in time-lapse. The demo and the whole-pipeline tests
//! are built from these pieces.

pub mod traffic;

pub mod workspace;

pub mod python;

pub mod embedded_aws;

pub mod artifacts;

pub mod example;

pub mod deployment;

pub mod sink;

pub mod playback;

pub mod outcome;

pub mod demo;

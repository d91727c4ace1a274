//! Files of container-structure-test, schema version 2.0.0, as tests.

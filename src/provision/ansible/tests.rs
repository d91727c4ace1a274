//! What the options mean for the key and for Ansible's surroundings.

# A web server set up by Ansible, on a real Debian. It needs mmdebstrap and Ansible on the host
# (`apt install mmdebstrap ansible-core`) and Debian's package archive:
#
#   hardtack build templates/ansible-web
#   hardtack run ansible-web.debootstrap.debian -- -v

variable "suite" {
  type        = string
  default     = "bookworm"
  description = "The Debian release."
}

variable "site_title" {
  type        = string
  default     = "Made by Ansible"
  description = "The title of the first page."
}

# The smallest Debian that has apt, with the Python that Ansible's tasks are run by.
source "debootstrap" "debian" {
  suite    = var.suite
  variant  = "minbase"
  packages = ["python3", "python3-apt", "git", "systemd", "ca-certificates"]
}

build {
  name    = "ansible-web"
  sources = ["source.debootstrap.debian"]

  # ansible-playbook runs on the host, and its tasks in the image: no SSH, no keys, no residue.
  provisioner "ansible" {
    playbook_file   = "${path.root}/ansible/site.yml"
    groups          = ["web"]
    extra_arguments = ["--extra-vars", "site_title='${var.site_title}'"]
  }

  config {
    entrypoint = ["nginx"]
    cmd        = ["-g", "daemon off;"]
    ports      = ["8080"]
    labels = {
      "org.opencontainers.image.title" = "ansible-web"
    }
  }
}

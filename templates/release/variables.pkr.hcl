variable "version" {
  type        = string
  default     = "1.0.0"
  description = "The version that the images are tagged with."

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.version))
    error_message = "The version must be MAJOR.MINOR.PATCH."
  }
}

variable "repository" {
  type        = string
  default     = "example/release"
  description = "The name that the images get in the store."
}

variable "output" {
  type        = string
  default     = ""
  description = "The folder for layouts, archives and records; `out` beside the template if empty."
}

locals {
  output = var.output != "" ? var.output : "${path.root}/out"
  parts  = split(".", var.version)

  # 1.2.3 is also tagged 1.2, 1 and latest.
  tags = concat(["latest"], [for count in [1, 2, 3] : join(".", slice(local.parts, 0, count))])

  labels = {
    "org.opencontainers.image.version" = var.version
    "org.opencontainers.image.source"  = "https://example.com/${var.repository}"
  }
}

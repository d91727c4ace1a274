# The names that expressions may use, in both programs.

variable "text" {
  type    = string
  default = "hello"
}

variable "number" {
  type    = number
  default = 42
}

variable "truth" {
  type    = bool
  default = true
}

variable "nothing" {
  default = null
}

variable "names" {
  type    = list(string)
  default = ["ann", "bob", "cy"]
}

variable "numbers" {
  type    = list(number)
  default = [3, 1, 2]
}

variable "unordered" {
  type    = set(string)
  default = ["b", "a", "b"]
}

variable "ages" {
  type    = map(number)
  default = { bob = 7, ann = 5 }
}

variable "person" {
  type = object({ name = string, age = number, tags = list(string) })
  default = {
    name = "ann"
    age  = 5
    tags = ["x", "y"]
  }
}

variable "pair" {
  type    = tuple([string, number])
  default = ["one", 1]
}

variable "people" {
  default = [
    { name = "ann", roles = ["admin", "user"] },
    { name = "bob", roles = ["user"] },
  ]
}

variable "empty_list" {
  type    = list(string)
  default = []
}

variable "empty_map" {
  type    = map(string)
  default = {}
}

variable "secret" {
  default   = "hunter-2"
  sensitive = true
}

locals {
  greeting = "${var.text}, world"
  nested   = { list = [1, [2, 3]], map = { "a b" = true, c = null } }
}

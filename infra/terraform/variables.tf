variable "bucket" {
  description = "Name of the bucket that holds tables, artifacts, unfinished work and the DVC remote."
  type        = string

  validation {
    condition     = length(var.bucket) <= 40
    error_message = "At most 40 characters: roles are named BUCKET-ACCOUNT, and IAM allows 64 for that."
  }
}

variable "prefixes" {
  description = "Where in the bucket each of them lies; without slashes at the ends."
  type = object({
    tables    = optional(string, "tables")
    artifacts = optional(string, "artifacts")
    work      = optional(string, "work")
    dvc       = optional(string, "dvc")
  })
  default = {}
}

variable "kms_key_arn" {
  description = "Key that objects are encrypted with; null: S3's own key (AES-256)."
  type        = string
  default     = null
}

variable "administrators" {
  description = "ARNs of the roles that may remove published artifacts and old versions, Terraform's own role among them."
  type        = list(string)

  validation {
    condition     = length(var.administrators) > 0
    error_message = "Name at least one role: without one, nobody could ever remove an artifact."
  }
}

variable "noncurrent_days" {
  description = "Days for which what was overwritten or deleted can be brought back."
  type        = number
  default     = 30
}

variable "work_days" {
  description = "Days after which unfinished work that nobody came back for is deleted."
  type        = number
  default     = 30
}

variable "irsa" {
  description = "The cluster's OIDC provider and namespace, and what each Kubernetes service account may do; null: no roles."
  type = object({
    oidc_provider_arn = string
    namespace         = string
    service_accounts = optional(map(set(string)), {
      # Flows: they train and publish. The pods of training itself need nothing from AWS.
      unimol2-flow     = ["reader", "trainer", "publisher"]
      unimol2-launcher = ["reader", "trainer", "publisher"]
    })
  })
  default = null

  validation {
    condition = var.irsa == null ? true : alltrue([
      for names in values(var.irsa.service_accounts) :
      length(setsubtract(names, ["reader", "trainer", "publisher"])) == 0
    ])
    error_message = "A service account's policies are of reader, trainer and publisher."
  }

  validation {
    condition     = var.irsa == null ? true : alltrue([for name in keys(var.irsa.service_accounts) : length(name) <= 23])
    error_message = "Names of service accounts have at most 23 characters: roles are named BUCKET-ACCOUNT, and IAM allows 64."
  }
}

variable "gpu_nodes" {
  description = "A group of GPU nodes in an EKS cluster that exists; null: none."
  type = object({
    cluster        = string
    subnet_ids     = list(string)
    instance_types = optional(list(string), ["g6e.12xlarge"])
    capacity_type  = optional(string, "ON_DEMAND")
    disk_gib       = optional(number, 300)
    min_size       = optional(number, 0)
    max_size       = optional(number, 2)
  })
  default = null
}

variable "tags" {
  description = "Tags of everything that can have some."
  type        = map(string)
  default     = {}
}

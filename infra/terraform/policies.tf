data "aws_partition" "current" {}

locals {
  policy_variables = {
    bucket         = "arn:${data.aws_partition.current.partition}:s3:::${var.bucket}"
    tables         = var.prefixes.tables
    artifacts      = var.prefixes.artifacts
    work           = var.prefixes.work
    dvc            = var.prefixes.dvc
    administrators = jsonencode(var.administrators)
    # A digest has 64 characters; `*` would also match what lies deeper, such as the manifests of checkpoints.
    digest = join("", [for _ in range(64) : "?"])
  }

  roles = toset(["reader", "trainer", "publisher"])
}

# The files are plain JSON but for their variables; tests/unit/infra says what each role may and may not do.
resource "aws_iam_policy" "role" {
  for_each = local.roles

  name   = "${var.bucket}-${each.key}"
  policy = templatefile("${path.module}/policies/${each.key}.json", local.policy_variables)
  tags   = var.tags
}

resource "aws_iam_policy" "key" {
  count = var.kms_key_arn == null ? 0 : 1

  name   = "${var.bucket}-key"
  policy = templatefile("${path.module}/policies/key.json", { key = var.kms_key_arn })
  tags   = var.tags
}

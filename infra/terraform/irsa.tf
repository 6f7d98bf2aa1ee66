# Roles for Kubernetes service accounts: pods get credentials that last an hour, and no key is ever stored.
locals {
  service_accounts = var.irsa == null ? {} : var.irsa.service_accounts

  attachments = merge([
    for account, policies in local.service_accounts : {
      for policy in policies : "${account}/${policy}" => { account = account, policy = policy }
    }
  ]...)
}

resource "aws_iam_role" "service_account" {
  for_each = local.service_accounts

  name = "${var.bucket}-${each.key}"
  tags = var.tags
  assume_role_policy = templatefile("${path.module}/policies/irsa.json", {
    provider = var.irsa.oidc_provider_arn
    # What follows "oidc-provider/" is the issuer, which names the token's claims.
    issuer  = split("oidc-provider/", var.irsa.oidc_provider_arn)[1]
    subject = "system:serviceaccount:${var.irsa.namespace}:${each.key}"
  })
}

resource "aws_iam_role_policy_attachment" "service_account" {
  for_each = local.attachments

  role       = aws_iam_role.service_account[each.value.account].name
  policy_arn = aws_iam_policy.role[each.value.policy].arn
}

resource "aws_iam_role_policy_attachment" "key" {
  for_each = var.kms_key_arn == null ? {} : local.service_accounts

  role       = aws_iam_role.service_account[each.key].name
  policy_arn = aws_iam_policy.key[0].arn
}

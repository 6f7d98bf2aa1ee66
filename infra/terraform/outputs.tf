output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.store.id
}

output "policy_arns" {
  description = "ARN of each role's policy, for principals that are not made here."
  value       = { for name, policy in aws_iam_policy.role : name => policy.arn }
}

output "service_account_annotations" {
  description = "What each Kubernetes service account has to be annotated with."
  value = {
    for name, role in aws_iam_role.service_account : name => { "eks.amazonaws.com/role-arn" = role.arn }
  }
}

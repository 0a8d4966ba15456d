# Terraform and OpenTofu: after every record of `dns` is as planned, prevalidate hears of the zones whose records changed. The
# secret comes from the environment (PREVALIDATE_URL, PREVALIDATE_SECRET) and so is in no state.

variable "dns" {
  description = "The records of each zone, by name and type"
  type        = map(map(list(string)))
  default     = { "example.ch" = { "www/A" = ["192.0.2.1"] } }
}

# Your records here: resource "aws_route53_record" "dns" { for_each = … }

resource "terraform_data" "prevalidate_hook" {
  for_each         = var.dns
  triggers_replace = each.value
  # depends_on     = [aws_route53_record.dns]

  provisioner "local-exec" {
    command    = "prevalidate-hook \"$ZONE\""
    on_failure = continue
    environment = {
      ZONE = each.key
    }
  }
}

#!/usr/bin/env python3
"""Prints a SAM template as the plain CloudFormation it stands for, as JSON.

    expand_template.py template.yaml

Applies the SAM transform as the CloudFormation service does, with no account and no network, so that tests can
assert on the resources that are really made: roles, permissions, subscription filters, schedules.
"""

import json
import logging
import os
import sys

import yaml
from samtranslator.public.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """The template names no managed policy, so there is none to look up in IAM."""

    def load(self):
        return {}


def expand(path):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    if not isinstance(template, dict):
        raise ValueError("not a template: it has no top-level mapping")
    # The transform takes code from S3 only; nothing asserts on where it is.
    for resource in template.get("Resources", {}).values():
        properties = resource.get("Properties", {})
        code = properties.get("CodeUri")
        if isinstance(code, str) and not code.startswith("s3://"):
            properties["CodeUri"] = "s3://code/" + code.strip("/") + ".zip"
    return transform(template, {}, NoManagedPolicies())


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    # The transform asks for a region, to tell the AWS partition.
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
    logging.disable(logging.WARNING)
    try:
        expanded = expand(sys.argv[1])
    except InvalidDocumentException as error:
        sys.exit(f"{sys.argv[1]}: {error.message} " + "; ".join(cause.message for cause in error.causes))
    except (OSError, ValueError, yaml.YAMLError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
    json.dump(expanded, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()

"""Accounts, the queue and tokens of the django-helpdesk for tests; prints them as KEY=VALUE lines.

Run by django_helpdesk.sh against an empty database.
"""

import sys

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402 (Django must be set up before)
from helpdesk.models import Queue  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402


def account(who: str, login: str, name: str, mail: str, **rights: bool) -> None:
    """Make an account with a token and print both."""
    first, last = name.split()
    password = f"{login}-pass1"
    user = User.objects.create_user(login, mail, password, first_name=first, last_name=last, **rights)
    token = Token.objects.create(user=user).key
    sys.stdout.write(f"{who}_USER={login}\n{who}_ID={user.pk}\n{who}_TOKEN={token}\n{who}_PASSWORD={password}\n")


account("ROOT", "admin", "Ad Min", "admin@example.test", is_staff=True, is_superuser=True)
account("AGENT", "peter.meyer", "Peter Meyer", "peter.meyer@example.test", is_staff=True)
account("CUSTOMER", "carla.customer", "Carla Customer", "carla@customer.test")
# There is no lesser right than staff for whom the API answers.
account("READER", "syncd", "Sync Daemon", "syncd@example.test", is_staff=True)
queue = Queue.objects.create(
    title="Support", slug="support", email_address="support@example.test", allow_public_submission=True
)
sys.stdout.write(f"QUEUE={queue.slug}\nQUEUE_ID={queue.pk}\n")

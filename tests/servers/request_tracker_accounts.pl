# Accounts, queues, rights and tokens of the Request Tracker for tests; prints them as KEY=VALUE lines.
# Run by request_tracker.sh against an empty database.
use strict;
use warnings;
use RT;

RT->LoadConfig;
RT->Init;
my $system = RT->SystemUser;

sub made {
    my ($object, %fields) = @_;
    my ($id, $message) = $object->Create(%fields);
    die "$message\n" unless $id;
    return $object;
}

sub user {
    my ($name, $real_name, $mail, $privileged) = @_;
    return made(RT::User->new($system), Name => $name, RealName => $real_name, EmailAddress => $mail,
        Password => "$name-pass1", Privileged => $privileged);
}

sub queue {
    my ($name) = @_;
    return made(RT::Queue->new($system), Name => $name, CorrespondAddress => lc($name) . '@example.test');
}

sub group {
    my ($name, $user) = @_;
    my $group = RT::Group->new($system);
    my ($id, $message) = $group->CreateUserDefinedGroup(Name => $name);
    die "$message\n" unless $id;
    $group->AddMember($user->PrincipalId);
    return $group;
}

sub grant {
    my ($group, $object, @rights) = @_;
    for my $right (@rights) {
        my ($granted, $message) = $group->PrincipalObj->GrantRight(Right => $right, Object => $object);
        die "$right: $message\n" unless $granted;
    }
}

my ($support, $billing) = (queue('Support'), queue('Billing'));
my $agent    = user('peter.meyer',    'Peter Meyer',    'peter.meyer@example.test', 1);
my $reader   = user('syncd',          'syncd',          'syncd@example.test',       1);
my $customer = user('carla.customer', 'Carla Customer', 'carla@customer.test',      0);

# The agent works in Support and knows nothing of Billing.
grant(group('Agents', $agent), $support,
    qw(SeeQueue ShowTicket ShowTicketComments ShowOutgoingEmail CreateTicket ReplyToTicket CommentOnTicket ModifyTicket
       OwnTicket TakeTicket Watch));
# The reader has what docs/adapters/request_tracker.md asks for, and nothing else.
grant(group('Readers', $reader), $support, qw(SeeQueue ShowTicket ShowTicketComments));

my $unprivileged = RT::Group->new($system);
$unprivileged->LoadSystemInternalGroup('Unprivileged');
grant($unprivileged, $support, qw(SeeQueue CreateTicket ReplyToTicket));
grant($support->RoleGroup('Requestor'), $support, qw(ShowTicket ReplyToTicket));

my $root = RT::User->new($system);
$root->Load('root');
for ([AGENT => $agent], [READER => $reader], [CUSTOMER => $customer], [ROOT => $root]) {
    my ($role, $user) = @$_;
    my ($id, $message, $token) = RT::AuthToken->new($system)->Create(Owner => $user->Id, Description => 'tests');
    die "$message\n" unless $id;
    print "${role}_USER=", $user->Name, "\n${role}_ID=", $user->Id, "\n${role}_TOKEN=$token\n";
}
print "QUEUE=Support\nHIDDEN_QUEUE=Billing\n";

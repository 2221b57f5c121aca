# Accounts, projects, roles and API keys of the Redmine for tests; prints the keys and ids as KEY=VALUE lines.
# Run by redmine.sh against a database that holds Redmine's default data and nothing else.

Setting.rest_api_enabled = '1'
Setting.login_required = '1'
Setting.default_language = 'en'
Setting.mail_from = 'support@example.test'

def account(login, first, last, mail)
  User.new(firstname: first, lastname: last, mail: mail, language: 'en').tap do |user|
    user.login = login
    user.password = user.password_confirmation = "#{login}-pass1"
    user.save!
  end
end

def project(name, members)
  made = Project.create!(name: name, identifier: name.downcase, is_public: false,
                         enabled_module_names: %w[issue_tracking], trackers: Tracker.all)
  members.each { |user, role| Member.create!(project: made, user: user, roles: [role]) }
  made
end

root = User.find_by!(login: 'admin')
root.password = root.password_confirmation = 'admin-pass1'
root.must_change_passwd = false
root.save!

agent = account('peter.meyer', 'Peter', 'Meyer', 'peter.meyer@example.test')
customer = account('carla.customer', 'Carla', 'Customer', 'carla@customer.test')
reader = account('syncd', 'Sync', 'Daemon', 'syncd@example.test')

# What hurts an adapter that trusts its luck: the reader lives in another zone and wants the newest note first.
# Answers stay in UTC all the same.
reader.pref.update!(time_zone: 'Wellington', comments_sorting: 'desc')
agent.pref.update!(time_zone: 'Eastern Time (US & Canada)')

agents = Role.find_by!(name: 'Developer')
agents.add_permission!(:view_private_notes, :set_notes_private, :edit_issues, :add_issue_notes, :edit_issue_notes)
customers = Role.find_by!(name: 'Reporter')
customers.add_permission!(:add_issues, :add_issue_notes)
# The reader has what docs/adapters/redmine.md asks for, and nothing else.
readers = Role.create!(name: 'Reader', issues_visibility: 'all', users_visibility: 'members_of_visible_projects',
                       permissions: %i[view_issues view_private_notes])

# New -> Closed and the like: the default workflow of agents knows few ways, and tests want all of them.
statuses = IssueStatus.all.to_a
Tracker.all.each do |tracker|
  statuses.product(statuses).each do |old, new|
    WorkflowTransition.find_or_create_by!(tracker: tracker, role: agents, old_status: old, new_status: new) if old != new
  end
end

support = project('Support', agent => agents, customer => customers, reader => readers)
hidden = project('Hidden', agent => agents)

{ AGENT: agent, READER: reader, CUSTOMER: customer, ROOT: root }.each do |who, user|
  puts "#{who}_USER=#{user.login}", "#{who}_ID=#{user.id}", "#{who}_KEY=#{user.api_key}"
end
puts "PROJECT=#{support.identifier}", "PROJECT_ID=#{support.id}"
puts "HIDDEN_PROJECT=#{hidden.identifier}", "HIDDEN_PROJECT_ID=#{hidden.id}"

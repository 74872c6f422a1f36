#!/usr/bin/env python3
"""The main job with Microsoft's Graph SDK for Python, unmodified.

People are made, a package with roles in two real systems is offered, somebody asks, their manager approves, one system
does not answer, the request ends partially delivered, it is reprocessed, and both systems' own truth is asked.
"""

import asyncio
import sys
import time

from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator
from kiota_abstractions.authentication import BaseBearerTokenAuthenticationProvider
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.identity_governance.entitlement_management.assignment_requests.assignment_requests_request_builder import (
    AssignmentRequestsRequestBuilder)
from msgraph.generated.models.access_package import AccessPackage
from msgraph.generated.models.access_package_approval_stage import AccessPackageApprovalStage
from msgraph.generated.models.access_package_assignment import AccessPackageAssignment
from msgraph.generated.models.access_package_assignment_approval_settings import (
    AccessPackageAssignmentApprovalSettings)
from msgraph.generated.models.access_package_assignment_policy import AccessPackageAssignmentPolicy
from msgraph.generated.models.access_package_assignment_request import AccessPackageAssignmentRequest
from msgraph.generated.models.access_package_assignment_requestor_settings import (
    AccessPackageAssignmentRequestorSettings)
from msgraph.generated.models.access_package_catalog import AccessPackageCatalog
from msgraph.generated.models.access_package_request_type import AccessPackageRequestType
from msgraph.generated.models.access_package_resource import AccessPackageResource
from msgraph.generated.models.access_package_resource_request import AccessPackageResourceRequest
from msgraph.generated.models.access_package_resource_role import AccessPackageResourceRole
from msgraph.generated.models.access_package_resource_role_scope import AccessPackageResourceRoleScope
from msgraph.generated.models.access_package_resource_scope import AccessPackageResourceScope
from msgraph.generated.models.allowed_target_scope import AllowedTargetScope
from msgraph.generated.models.approval_stage import ApprovalStage
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.password_profile import PasswordProfile
from msgraph.generated.models.reference_update import ReferenceUpdate
from msgraph.generated.models.requestor_manager import RequestorManager
from msgraph.generated.models.user import User

from world import connect, world

PASSWORD = "correct horse battery staple"


class Token(AccessTokenProvider):
    """Always the same token."""

    def __init__(self, token):
        self.token = token
        self.validator = AllowedHostsValidator(["127.0.0.1"])

    async def get_authorization_token(self, uri, additional_authentication_context=None):
        return self.token

    def get_allowed_hosts_validator(self):
        return self.validator


def client(server, token):
    adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(Token(token)))
    adapter.base_url = f"{server.base}/v1.0"
    return GraphServiceClient(request_adapter=adapter)


def told(condition, what):
    print(f"  {'ok' if condition else 'WRONG'}  {what}")
    if not condition:
        raise AssertionError(what)


async def person(graph, name):
    return await graph.users.post(User(
        account_enabled=True, display_name=name.title(), mail_nickname=name,
        user_principal_name=f"{name}@harbourline.example", mail=f"{name}@harbourline.example",
        password_profile=PasswordProfile(password=PASSWORD)))


async def resource(management, catalog, system, group):
    """Adds a group to the catalog; its member role and root scope."""
    made = await management.resource_requests.post(AccessPackageResourceRequest(
        request_type=AccessPackageRequestType.AdminAdd, catalog=AccessPackageCatalog(id=catalog),
        resource=AccessPackageResource(origin_id=group, origin_system=system)))
    told(made.state == "delivered" or str(made.state).endswith("elivered"), f"{system}: the resource is there at once")
    resources = management.catalogs.by_access_package_catalog_id(catalog).resources
    from msgraph.generated.identity_governance.entitlement_management.catalogs.item.resources.resources_request_builder import (
        ResourcesRequestBuilder)
    parameters = ResourcesRequestBuilder.ResourcesRequestBuilderGetQueryParameters(
        filter=f"originId eq '{group}'", expand=["roles", "scopes"])
    found = (await resources.get(RequestConfiguration(query_parameters=parameters))).value[0]
    role = next(role for role in found.roles if role.display_name == "Member")
    return found, role, found.scopes[0]


async def until_over(management, request, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        read = await management.assignment_requests.by_access_package_assignment_request_id(request).get()
        if read.state.value not in ("submitted", "pendingApproval", "scheduled", "delivering"):
            return read
        await asyncio.sleep(0.2)
    raise AssertionError("the request did not come to rest")


async def story():
    with world() as (server, hr, wiki):
        app = server.token("--app", "story", "--role", "Global Administrator")
        graph = client(server, app)
        management = graph.identity_governance.entitlement_management
        connect(server, app, "hr", hr)
        connect(server, app, "wiki", wiki)
        crew, news = hr.group("crew"), wiki.group("news")

        uma, max_ = await person(graph, "uma"), await person(graph, "max")
        await graph.users.by_user_id(uma.id).manager.ref.put(
            ReferenceUpdate(odata_id=f"https://graph.microsoft.com/v1.0/users/{max_.id}"))
        manager = await graph.users.by_user_id(uma.id).manager.get()
        told(manager.id == max_.id, "the manager is read back")

        catalog = await management.catalogs.post(
            AccessPackageCatalog(display_name="Vessel Operations", description="Access for crews"))
        package = await management.access_packages.post(AccessPackage(
            display_name="Deck Officer Starter", description="First-week access",
            catalog=AccessPackageCatalog(id=catalog.id)))
        for system, group in (("hr", crew), ("wiki", news)):
            found, role, scope = await resource(management, catalog.id, system, group)
            await management.access_packages.by_access_package_id(package.id).resource_role_scopes.post(
                AccessPackageResourceRoleScope(
                    role=AccessPackageResourceRole(
                        id=role.id, origin_id=role.origin_id, origin_system=role.origin_system,
                        resource=AccessPackageResource(id=found.id, origin_id=group, origin_system=system)),
                    scope=AccessPackageResourceScope(
                        id=scope.id, origin_id=scope.origin_id, origin_system=scope.origin_system)))
        # The SDK writes a timedelta wrongly (its issue 1262), so the duration goes as text.
        stage = AccessPackageApprovalStage(
            duration_before_automatic_denial="P5D", is_approver_justification_required=True,
            primary_approvers=[RequestorManager(manager_level=1)])
        policy = await management.assignment_policies.post(AccessPackageAssignmentPolicy(
            display_name="Crew asks", description="Officers ask, their manager approves",
            access_package=AccessPackage(id=package.id), allowed_target_scope=AllowedTargetScope.AllMemberUsers,
            requestor_settings=AccessPackageAssignmentRequestorSettings(enable_targets_to_self_add_access=True),
            request_approval_settings=AccessPackageAssignmentApprovalSettings(
                is_approval_required_for_add=True, stages=[stage])))
        told(policy.request_approval_settings.stages[0].primary_approvers[0].manager_level == 1,
             "the polymorphic approver is read back")

        as_uma = client(server, server.token("--user", "uma@harbourline.example")).identity_governance.entitlement_management
        as_max = client(server, server.token("--user", "max@harbourline.example")).identity_governance.entitlement_management
        wiki.pause()
        assignment = AccessPackageAssignment(additional_data={"accessPackageId": package.id})
        made = await as_uma.assignment_requests.post(AccessPackageAssignmentRequest(
            request_type=AccessPackageRequestType.UserAdd, assignment=assignment, justification="Joining MV Sandpiper"))
        told(made.state.value == "submitted" and made.created_date_time is None, "a new request answers as accepted")

        approvals = as_max.access_package_assignment_approvals
        waiting = await approvals.filter_by_current_user_with_on("approver").get()
        told([approval.id for approval in waiting.value] == [made.id], "the approval's id is the request's")
        stage = waiting.value[0].stages[0]
        stages = approvals.by_approval_id(made.id).stages
        try:
            await stages.by_approval_stage_id(stage.id).patch(ApprovalStage(review_result="Approve"))
            raise AssertionError("approved without the reason that the policy demands")
        except ODataError as error:
            told(error.error.code == "JustificationRequired", "an error is an ODataError with a code")
        await stages.by_approval_stage_id(stage.id).patch(
            ApprovalStage(review_result="Approve", justification="on the watch list"))
        decided = await stages.by_approval_stage_id(stage.id).get()
        told((decided.review_result, decided.status) == ("Approved", "Completed"), "Approve in, Approved out")

        ended = await until_over(as_uma, made.id, 90)
        told(ended.state.value == "partiallyDelivered", "one system did not answer: partially delivered")
        told(len(hr.members(crew)) == 1, "the healthy system has her, once")
        wiki.go_on()
        await management.assignment_requests.by_access_package_assignment_request_id(made.id).reprocess.post()
        ended = await until_over(as_uma, made.id, 90)
        told(ended.state.value == "delivered", "reprocessed: delivered")
        for name, scim, group in (("hr", hr, crew), ("wiki", wiki, news)):
            members = scim.members(group)
            told(len(members) == 1, f"{name} itself says: {len(members)} membership")

        parameters = AssignmentRequestsRequestBuilder.AssignmentRequestsRequestBuilderGetQueryParameters(
            filter=f"accessPackage/id eq '{package.id}' and state eq 'delivered'",
            expand=["accessPackage", "requestor", "assignment($expand=target)"], count=True, top=10)
        page = await management.assignment_requests.get(RequestConfiguration(query_parameters=parameters))
        first = page.value[0]
        told(page.odata_count == 1 and first.requestor.display_name == "Uma"
             and first.access_package.display_name == "Deck Officer Starter"
             and first.assignment.target.object_id == uma.id, "filter, expand and count are understood")
        try:
            await management.assignment_requests.by_access_package_assignment_request_id(made.id).reprocess.post()
            raise AssertionError("a delivered request was reprocessed")
        except ODataError as error:
            told(error.error.code == "RequestNotReprocessable", "a delivered request is not reprocessed")
        try:
            await management.assignment_requests.by_access_package_assignment_request_id(
                "5d2b7f66-80a4-4f9e-8f0b-3b1b2c600004").get()
            raise AssertionError("an unknown request was found")
        except ODataError as error:
            told(error.response_status_code == 404, "what does not exist is 404 with a code")


if __name__ == "__main__":
    try:
        asyncio.run(story())
    except AssertionError:
        sys.exit(1)

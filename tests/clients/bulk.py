#!/usr/bin/env python3
"""Many requests at once with Microsoft's Graph SDK for Python, unmodified.

A system does not answer, so every request for it fails. They are counted, read page by page with the SDK's own iterator,
reprocessed in one $batch, and the system's own truth is asked. One is canceled instead; a group of the built-in directory
is given along the way.
"""

import asyncio
import sys

from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.identity_governance.entitlement_management.assignment_requests.assignment_requests_request_builder import (
    AssignmentRequestsRequestBuilder)
from msgraph.generated.identity_governance.entitlement_management.assignment_requests.count.count_request_builder import (
    CountRequestBuilder)
from msgraph.generated.models.access_package import AccessPackage
from msgraph.generated.models.access_package_assignment import AccessPackageAssignment
from msgraph.generated.models.access_package_assignment_policy import AccessPackageAssignmentPolicy
from msgraph.generated.models.access_package_assignment_request import AccessPackageAssignmentRequest
from msgraph.generated.models.access_package_catalog import AccessPackageCatalog
from msgraph.generated.models.access_package_request_type import AccessPackageRequestType
from msgraph.generated.models.access_package_resource import AccessPackageResource
from msgraph.generated.models.access_package_resource_role import AccessPackageResourceRole
from msgraph.generated.models.access_package_resource_role_scope import AccessPackageResourceRoleScope
from msgraph.generated.models.access_package_resource_scope import AccessPackageResourceScope
from msgraph.generated.models.group import Group
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph_core import PageIterator
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_item import BatchRequestItem

from story import client, person, resource, told, until_over
from world import connect, world

Query = AssignmentRequestsRequestBuilder.AssignmentRequestsRequestBuilderGetQueryParameters
NAMES = ["ada", "ben", "cleo", "dan", "eve"]


async def offer(management, catalog, name, system, group):
    """A package with one group's membership, which administrators assign."""
    package = await management.access_packages.post(AccessPackage(
        display_name=name, description=name, catalog=AccessPackageCatalog(id=catalog.id)))
    found, role, scope = await resource(management, catalog.id, system, group)
    await management.access_packages.by_access_package_id(package.id).resource_role_scopes.post(
        AccessPackageResourceRoleScope(
            role=AccessPackageResourceRole(
                id=role.id, origin_id=role.origin_id, origin_system=role.origin_system,
                resource=AccessPackageResource(id=found.id, origin_id=group, origin_system=system)),
            scope=AccessPackageResourceScope(
                id=scope.id, origin_id=scope.origin_id, origin_system=scope.origin_system)))
    policy = await management.assignment_policies.post(AccessPackageAssignmentPolicy(
        display_name=name, description="Administrators assign", access_package=AccessPackage(id=package.id)))
    return package, policy


async def assign(management, package, policy, user):
    return await management.assignment_requests.post(AccessPackageAssignmentRequest(
        request_type=AccessPackageRequestType.AdminAdd, assignment=AccessPackageAssignment(additional_data={
            "targetId": user.id, "assignmentPolicyId": policy.id, "accessPackageId": package.id})))


async def story():
    with world() as (server, _, wiki):
        graph = client(server, server.token("--app", "bulk", "--role", "Global Administrator"))
        management = graph.identity_governance.entitlement_management
        requests = management.assignment_requests
        connect(server, server.token("--app", "bulk"), "wiki", wiki)
        news = wiki.group("news")
        people = [await person(graph, name) for name in NAMES]

        catalog = await management.catalogs.post(AccessPackageCatalog(display_name="Shore", description="Offices"))
        group = await graph.groups.post(Group(
            display_name="Harbour office", mail_enabled=False, mail_nickname="harbour", security_enabled=True))
        inner, direct = await offer(management, catalog, "Office", "AadGroup", group.id)
        made = await assign(management, inner, direct, people[0])
        ended = await until_over(management, made.id)
        members = await graph.groups.by_group_id(group.id).members.get()
        told(ended.state.value == "delivered" and [member.id for member in members.value] == [people[0].id],
             "a group of the built-in directory has its member")

        package, policy = await offer(management, catalog, "News", "wiki", news)
        wiki.pause()
        asked = [(await assign(management, package, policy, user)).id for user in people]
        ended = [await until_over(management, request, 150) for request in asked]
        told({one.state.value for one in ended} == {"deliveryFailed"}, f"{len(ended)} requests failed")

        failed = f"accessPackage/id eq '{package.id}' and state eq 'deliveryFailed'"
        counted = await requests.count.get(RequestConfiguration(
            query_parameters=CountRequestBuilder.CountRequestBuilderGetQueryParameters(filter=failed)))
        told(counted == len(asked), "$count with a filter counts them")
        first = await requests.get(RequestConfiguration(
            query_parameters=Query(filter=failed, top=2, orderby=["createdDateTime"], expand=["requestor"])))
        told(len(first.value) == 2 and first.odata_next_link is not None, "a page of two has a next link")
        seen = []
        pages = PageIterator(first, graph.request_adapter)
        await pages.iterate(lambda request: seen.append(request.id) is None)
        told(sorted(seen) == sorted(asked), "the page iterator sees each once")

        last = requests.by_access_package_assignment_request_id(asked[-1])
        await last.cancel.post()
        wiki.go_on()  # that nothing is there must be read before the request ends
        told((await until_over(management, asked[-1], 90)).state.value == "canceled", "a failed request can be canceled")

        batch = BatchRequestContent()
        for request in asked:
            info = requests.by_access_package_assignment_request_id(request).reprocess.to_post_request_information()
            batch.add_request(request, BatchRequestItem(request_information=info, id=request))
        answers = await graph.batch.post(batch)
        statuses = answers.get_response_status_codes()
        told([statuses[request] for request in asked] == [202] * (len(asked) - 1) + [409],
             "one $batch reprocesses the failed, and refuses the canceled")
        ended = [await until_over(management, request, 90) for request in asked[:-1]]
        told({one.state.value for one in ended} == {"delivered"}, "all are delivered")
        there = wiki.members(news)
        told(len(there) == len(set(there)) == len(asked) - 1, f"the system itself says: {len(there)} members, each once")

        try:
            await last.cancel.post()
            raise AssertionError("a canceled request was canceled again")
        except ODataError as error:
            told(error.response_status_code == 409 and error.error.code == "RequestNotCancelable",
                 "what is canceled cannot be canceled again")


if __name__ == "__main__":
    try:
        asyncio.run(story())
    except AssertionError as error:
        sys.exit(f"failed: {error}")

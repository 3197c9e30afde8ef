"""The event names Command AI publishes, and which of them are not sent unless switched on.

Names are an open set ("robust to receiving events with an unknown eventName", Command AI,
addEventSubscriber reference): an unknown name is an event like any other. This catalogue serves
defaults, examples and help texts only.

Source of the names: npm `commandbar` 1.14.0 (v1 event types and internal names) and 1.12.0 (v2
schema), MIT. The meanings are our own words; where the package says nothing, they follow the name.
"""

from __future__ import annotations

from typing import Final

V1_TYPES: Final[dict[str, str]] = {
    "abandoned_search": "a search was given up without choosing anything",
    "command_suggestion": "a user suggested a command",
    "command_execution": "a command was run",
    "nudge_shown": "a nudge became visible",
    "nudge_clicked": "a nudge's button was clicked",
    "nudge_completed": "a product tour was finished",
    "nudge_dismissed": "a nudge was closed",
    "nudge_snoozed": "a nudge was put off",
    "opened": "the bar was opened",
    "closed": "the bar was closed without running a command",
    "no_results_for_query": "a search found neither commands nor records",
    "client_error": "something failed in the browser",
    "shortcut_edited": "a user changed a command's shortcut",
    "preview_shown": "a result's preview was shown",
    "next_step_selected": "a suggested next step was chosen",
    "preview_link_opened": "a link in a preview was followed",
    "preview_engagement": "a preview was used",
    "questlist_shown": "a checklist became visible",
    "questlist_engagement": "a checklist was expanded, collapsed, dismissed or completed",
    "questlist_item_engagement": "a checklist's item was used",
    "help_hub_opened": "the help hub was opened",
    "help_hub_closed": "the help hub was closed",
    "help_hub_unminimized": "the help hub was restored",
    "help_hub_minimized": "the help hub was minimised",
    "help_hub_engagement": "the help hub was used",
    "help_hub_doc_opened": "a document was opened in the help hub",
    "help_hub_doc_closed": "a document was closed in the help hub",
    "help_hub_doc_engagement": "a document in the help hub was used",
    "survey_response": "a survey was answered",
    "no_chat_response": "the assistant had no answer",
    "sdk_method_called": "the page called a method of the SDK",
}
"""The 31 types an event subscriber can receive."""

V1_ALIASES: Final[dict[str, str]] = {"nudge_seen": "nudge_shown"}
"""Other spellings of a v1 type: the typings say `nudge_seen` where the documentation says
`nudge_shown`. Names travel as received; this only tells that they mean the same."""

V1_INTERNAL_NAMES: Final[dict[str, str]] = {
    "Identify": "the SDK learned who the user is",
    "New session": "a session began",
    "End session": "a session ended",
    "Load Performance": "how long the SDK took to load",
    "New search": V1_TYPES["opened"],
    "Exited": V1_TYPES["closed"],
    "Search input": "a user typed into the search",
    "Onboarding tooltip shown": "a tooltip of the bar's introduction was shown",
    "Tooltip shown": "a tooltip was shown",
    "Onboarding started": "the bar's introduction began",
    "Onboarding exited": "the bar's introduction was left",
    "Onboarding completed": "the bar's introduction was finished",
    "Abandoned search": V1_TYPES["abandoned_search"],
    "No results for query": V1_TYPES["no_results_for_query"],
    "Command suggestion": V1_TYPES["command_suggestion"],
    "Command execution": V1_TYPES["command_execution"],
    "Unavailable shortcut": "a shortcut was pressed whose command is not available",
    "Clicked branding": "the vendor's mark was clicked",
    "Survey response": V1_TYPES["survey_response"],
    "Client-Error": V1_TYPES["client_error"],
    "Internal-Error": "something failed inside the SDK",
    "Internal-Event": "a note of the SDK for its makers",
    "Sentry-Event": "an error report was filed",
    "User changed shortcut": V1_TYPES["shortcut_edited"],
    "Preview shown": V1_TYPES["preview_shown"],
    "Next step selected": V1_TYPES["next_step_selected"],
    "Preview link opened": V1_TYPES["preview_link_opened"],
    "Preview engagement": V1_TYPES["preview_engagement"],
    "Nudge shown": V1_TYPES["nudge_shown"],
    "Nudge clicked": V1_TYPES["nudge_clicked"],
    "Nudge completed": V1_TYPES["nudge_completed"],
    "Nudge dismissed": V1_TYPES["nudge_dismissed"],
    "Nudge snoozed": V1_TYPES["nudge_snoozed"],
    "Questlist shown": V1_TYPES["questlist_shown"],
    "Questlist engagement": V1_TYPES["questlist_engagement"],
    "Questlist item engagement": V1_TYPES["questlist_item_engagement"],
    "HelpHub opened": V1_TYPES["help_hub_opened"],
    "HelpHub closed": V1_TYPES["help_hub_closed"],
    "HelpHub unminimized": V1_TYPES["help_hub_unminimized"],
    "HelpHub minimized": V1_TYPES["help_hub_minimized"],
    "HelpHub doc opened": V1_TYPES["help_hub_doc_opened"],
    "HelpHub doc closed": V1_TYPES["help_hub_doc_closed"],
    "HelpHub doc engagement": V1_TYPES["help_hub_doc_engagement"],
    "HelpHub engagement": V1_TYPES["help_hub_engagement"],
    "No chat response": V1_TYPES["no_chat_response"],
    "SDK method called": V1_TYPES["sdk_method_called"],
}
"""The 46 names the v1 SDK uses on its own wire. Which type a name belongs to is inferred from the
names; the package does not ship the pairing."""

V1_INTERNAL_ONLY: Final = frozenset(
    {
        "Identify",
        "New session",
        "End session",
        "Load Performance",
        "Search input",
        "Onboarding tooltip shown",
        "Tooltip shown",
        "Onboarding started",
        "Onboarding exited",
        "Onboarding completed",
        "Unavailable shortcut",
        "Clicked branding",
        "Internal-Error",
        "Internal-Event",
        "Sentry-Event",
    }
)
"""Internal names without a type: no event subscriber ever receives them."""

V2_NAMES: Final[dict[str, str]] = {
    "cb:identify": "the SDK learned who the user is",
    "cb:decide": "the SDK asked which experiences to show",
    "cb:pageview": "a page was viewed",
    "cb:click": "something on the page was clicked",
    "cb:input": "a user typed into the page",
    "cb:nudge_viewed": "a nudge became visible",
    "cb:nudge_dismissed": "a nudge was closed",
    "cb:nudge_snoozed": "a nudge was put off",
    "cb:nudge_cta_clicked": "a nudge's button was clicked",
    "cb:nudge_survey_submitted": "a survey was answered",
    "cb:nudge_checklist_item_skipped": "a checklist's item was skipped",
    "cb:nudge_checklist_item_completed": "a checklist's item was completed",
    "cb:nudge_checklist_completed": "a checklist was completed",
    "cb:assistance_modal_opened": "the assistance dialog was opened",
    "cb:assistance_modal_closed": "the assistance dialog was closed",
    "cb:copilot_viewed": "the copilot became visible",
    "cb:copilot_chat_started": "a chat with the copilot began",
    "cb:copilot_chat_restarted": "a chat with the copilot was begun anew",
    "cb:copilot_chat_message_sent": "a user wrote to the copilot",
    "cb:copilot_chat_message_feedback": "a user judged an answer of the copilot",
    "cb:copilot_follow_up_clicked": "a suggested follow-up question was chosen",
    "cb:copilot_source_clicked": "a source of an answer was opened",
    "cb:copilot_link_clicked": "a link in an answer was followed",
    "cb:copilot_experience_clicked": "an experience offered by the copilot was started",
    "cb:helphub_viewed": "the help hub became visible",
    "cb:helphub_search_input": "a user typed into the help hub's search",
    "cb:helphub_search_executed": "the help hub was searched",
    "cb:helphub_search_result_clicked": "a search result in the help hub was opened",
    "cb:helphub_suggested_query_clicked": "a suggested search was chosen",
    "cb:helphub_doc_link_copied": "a document's address was copied",
    "cb:helphub_additional_resource_clicked": "an additional resource was opened",
    "cb:helphub_recommendation_clicked": "a recommendation in the help hub was opened",
    "cb:spotlight_opened": "spotlight was opened",
    "cb:spotlight_closed": "spotlight was closed",
    "cb:spotlight_search_input": "a user typed into spotlight",
    "cb:spotlight_search_executed": "spotlight was searched",
    "cb:spotlight_search_result_clicked": "a search result in spotlight was chosen",
    "cb:action_executed": "an action was run",
    "cb:content_viewed": "a piece of content was opened",
    "cb:content_closed": "a piece of content was closed",
    "cb:content_link_clicked": "a link in a piece of content was followed",
    "cb:content_scrolled": "a piece of content was scrolled",
    "cb:content_play_clicked": "a video was started",
    "cb:content_pause_clicked": "a video was paused",
}
"""The 44 names of the v2 schema."""

DEFAULT_OFF: Final[frozenset[str]] = V1_INTERNAL_ONLY | {
    "cb:identify",
    "cb:decide",
    "cb:pageview",
    "cb:click",
    "cb:input",
}
"""Names that are not sent to Heap unless a workspace's filters include them: they carry raw
browsing and typing, or concern the SDK itself."""


def meaning(name: str) -> str | None:
    """Tell in one line what a published name means, or None for a name not in the catalogue."""
    known = V1_ALIASES.get(name, name)
    return V1_TYPES.get(known) or V2_NAMES.get(known) or V1_INTERNAL_NAMES.get(known)

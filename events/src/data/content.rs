//! Owns what the content service says.

use crate::event_data::event_data;
use crate::{Amount, Currency, Id, Note, Visibility};

event_data! {
    /// A creator wrote a post. With a price it is to be paid for.
    PostCreated {
        /// The post.
        post_id "postId": Id,
        /// Who wrote it.
        creator_id "creatorId": Id,
        /// What it costs to see it.
        price "price": Option<Amount>,
        /// In which currency; required with a price.
        currency "currency": Option<Currency>,
        /// Who may see it when it has no price; without one, everybody.
        visibility "visibility": Option<Visibility>,
        /// The media in it.
        #[schemars(length(max = 1000))]
        media_ids "mediaIds": Option<Vec<Id>>,
        /// Its title.
        title "title": Option<Note>,
    }

    /// A post changed. What is left out stays as it was.
    PostUpdated {
        /// The post.
        post_id "postId": Id,
        /// Who wrote it.
        creator_id "creatorId": Option<Id>,
        /// What it costs now; null takes the price away. Purchases stay.
        price "price": Option<Option<Amount>>,
        /// In which currency; required with a price.
        currency "currency": Option<Currency>,
        /// Who may see it when it has no price.
        visibility "visibility": Option<Visibility>,
        /// The media in it now, all of them.
        #[schemars(length(max = 1000))]
        media_ids "mediaIds": Option<Vec<Id>>,
        /// Its title.
        title "title": Option<Note>,
    }

    /// A post was deleted, for good; its media go with it.
    PostDeleted {
        /// The post.
        post_id "postId": Id,
        /// Who wrote it.
        creator_id "creatorId": Option<Id>,
    }

    /// A user likes a post.
    PostLiked {
        /// The post.
        post_id "postId": Id,
        /// Who likes it.
        user_id "userId": Id,
    }

    /// A user likes a post no more.
    PostUnliked {
        /// The post.
        post_id "postId": Id,
        /// Who liked it.
        user_id "userId": Id,
    }

    /// A user commented on a post.
    CommentCreated {
        /// The comment.
        comment_id "commentId": Id,
        /// The post.
        post_id "postId": Id,
        /// Who wrote the comment.
        user_id "userId": Id,
        /// The comment that it answers.
        parent_id "parentId": Option<Id>,
        /// What it says.
        text "text": Option<Note>,
    }
}

//! Owns what the media service says.

use crate::event_data::event_data;
use crate::{Id, MediaKey, Note, ProcessingStatus};

event_data! {
    /// A media file was uploaded.
    MediaUploaded {
        /// The media.
        media_id "mediaId": Id,
        /// Its key in the media store.
        object_key "objectKey": MediaKey,
        /// The post it belongs to.
        post_id "postId": Option<Id>,
        /// Who uploaded it.
        user_id "userId": Option<Id>,
        /// Its media type, such as `image/jpeg`.
        content_type "contentType": Option<Note>,
        /// Its size in bytes.
        size "size": Option<u64>,
    }

    /// A media file is gone.
    MediaDeleted {
        /// The media.
        media_id "mediaId": Id,
        /// The key that it had in the media store.
        object_key "objectKey": Option<MediaKey>,
        /// The post it belonged to.
        post_id "postId": Option<Id>,
    }

    /// A media file was processed.
    MediaProcessed {
        /// The media.
        media_id "mediaId": Id,
        /// Its key in the media store.
        object_key "objectKey": Option<MediaKey>,
        /// The post it belongs to.
        post_id "postId": Option<Id>,
        /// How it ended; without one, `ready`.
        status "status": Option<ProcessingStatus>,
        /// The keys of what was made of it, such as previews.
        #[schemars(length(max = 1000))]
        variants "variants": Option<Vec<MediaKey>>,
    }
}

-- The files of media that are there.
SELECT k.object_key FROM media_keys k JOIN living_media m ON m.media_id = k.media_id ORDER BY k.object_key
